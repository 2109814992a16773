"""What is stored, and where: what is configured has to work, or the service does not start."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

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


class Indexed(Protocol):
    """A repository with indexes."""

    async def create_indexes(self) -> None: ...


class SettingUp:
    """What a start creates in the database and the store, beside everything else that it does.

    On a new database each collection takes some hundredths of a second of waiting, and there are dozens: one
    after the other they would be a third of the start. What still goes on ends with the context.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out what nothing relies on before `done` has returned."""
        self._tasks.append(asyncio.create_task(work))

    def begin_indexes(self, *repositories: Indexed) -> None:
        """Create what repositories need in the database."""
        for repository in repositories:
            self.begin(_create_indexes(repository))

    async def done(self) -> None:
        """Return once all is there that was begun. Raises what the first of it raised, such as StartError."""
        await asyncio.gather(*self._tasks)


async def _create_indexes(repository: Indexed) -> None:
    with pymongo.timeout(_INDEX_SECONDS):
        await repository.create_indexes()


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
    instruments: Instruments
    """What is counted, by the repositories and by all else."""
    setting_up: SettingUp
    """What goes on beside the rest of the start."""


@asynccontextmanager
async def open_storage(settings: Settings, ground: Ground) -> AsyncIterator[Storage]:
    """Collections and indexes are there once its `setting_up` is done.

    Raises:
        StartError: HDFS is configured, but of no use.
    """
    database = settings.mongo.mongodb_database
    data_dir, mongo, instruments = ground.data_dir, ground.mongo, Instruments()
    async with SettingUp() as setting_up, artifact_store(settings, data_dir, setting_up) as artifacts:
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
            instruments,
            setting_up,
        )
        setting_up.begin_indexes(storage.executions, storage.training_runs, storage.registry)
        yield storage


@asynccontextmanager
async def artifact_store(
    settings: Settings, data_dir: Path, setting_up: SettingUp
) -> AsyncIterator[ArtifactStore]:
    """Where models are kept; a folder has its identity once the setting up is done.

    Raises:
        StartError: HDFS is configured, but of no use.
    """
    if not settings.hdfs.hdfs_endpoint:
        folder = FolderStore(data_dir / "models")
        setting_up.begin(_identify_folder(folder))
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


async def _identify_folder(folder: FolderStore) -> None:
    try:
        await identify(folder)
    except StoreUnavailable as error:
        raise StartError(f"DATA_DIR: {error}") from error
