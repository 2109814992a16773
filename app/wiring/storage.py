"""What is stored, and where: what is configured has to work, or the service does not start."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pymongo

from app.wiring.ground import Ground
from common.errors import StartError
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.models.artifacts import ArtifactStore, StoreUnavailable, identify
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.settings.settings import Settings
from training.history.digests import RunDigests
from training.runs.repository import TrainingRunRepository

logger = logging.getLogger(__name__)

_INDEX_SECONDS = 600.0
"""The first index over a large collection takes its time."""


@dataclass(frozen=True)
class Storage:
    """The database with its repositories, and the store of models."""

    data_dir: Path
    mongo: Client
    database: str
    executions: ExecutionRepository
    digests: RunDigests
    training_runs: TrainingRunRepository
    registry: ModelRegistry
    artifacts: ArtifactStore


@asynccontextmanager
async def open_storage(
    settings: Settings, ground: Ground, instruments: Instruments
) -> AsyncIterator[Storage]:
    """Collections and indexes included.

    Raises:
        StartError: HDFS is configured, but of no use.
    """
    database = settings.mongo.mongodb_database
    data_dir, mongo = ground.data_dir, ground.mongo
    async with artifact_store(settings, data_dir) as artifacts:
        executions = ExecutionRepository(mongo, database, instruments)
        storage = Storage(
            data_dir,
            mongo,
            database,
            executions,
            RunDigests(mongo, database, executions),
            TrainingRunRepository(mongo, database, instruments),
            ModelRegistry(mongo, database),
            artifacts,
        )
        await create_indexes(storage.executions, storage.training_runs, storage.registry)
        yield storage


class Indexed(Protocol):
    """A repository with indexes."""

    async def create_indexes(self) -> None: ...


async def create_indexes(*repositories: Indexed) -> None:
    """Create what repositories need, which may take a while."""
    with pymongo.timeout(_INDEX_SECONDS):
        await asyncio.gather(*(repository.create_indexes() for repository in repositories))


@asynccontextmanager
async def artifact_store(settings: Settings, data_dir: Path) -> AsyncIterator[ArtifactStore]:
    """Where models are kept. Raises StartError where HDFS is configured but of no use."""
    if not settings.hdfs.hdfs_endpoint:
        folder = FolderStore(data_dir / "models")
        try:
            await identify(folder)
        except StoreUnavailable as error:
            raise StartError(f"DATA_DIR: {error}") from error
        yield folder
        return
    # Loaded where it is used: a tenth of a second of its HTTP libraries.
    from common.models.hdfs import HdfsStore
    from common.models.webhdfs import HdfsUnavailable

    store = HdfsStore(settings.hdfs)
    try:
        try:
            await store.check_writable()
            await identify(store)
        except StoreUnavailable as error:
            look_at = error.look_at if isinstance(error, HdfsUnavailable) else "HDFS_ENDPOINT"
            raise StartError(f"{look_at}: {error}") from error
        logger.info("Models are kept in HDFS, below %s", settings.hdfs.hdfs_output_dir)
        yield store
    finally:
        await store.aclose()
