"""Where models are kept: one that is configured has to work, or the service does not start."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import StartError
from common.models.artifacts import ArtifactStore, StoreUnavailable, identify
from common.models.folder import FolderStore
from common.models.hdfs import HdfsStore
from common.models.webhdfs import HdfsUnavailable
from common.settings.settings import Settings

logger = logging.getLogger(__name__)


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
