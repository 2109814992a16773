"""Checks of configured endpoints: one that is set has to work, or the service does not start."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from common.artifacts import ArtifactStore, FolderStore, StoreUnavailable, identify
from common.configuration import Settings
from common.errors import StartError
from common.hdfs import HdfsStore, HdfsUnavailable

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0


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


async def check_kubernetes(settings: Settings) -> None:
    """Raises StartError where Kubernetes is configured."""
    if settings.kubernetes.kubernetes_endpoint:
        await _must_connect("KUBERNETES_ENDPOINT", settings.kubernetes.kubernetes_endpoint)
    for name, value in (
        ("KUBERNETES_ENDPOINT", settings.kubernetes.kubernetes_endpoint),
        ("KUBECONFIG", settings.kubernetes.kubeconfig),
    ):
        if value:
            raise StartError(f"{name}: applications run on a local Spark for now; unset it (see the README).")


async def _must_connect(name: str, address: str) -> None:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname
    except ValueError as error:
        raise StartError(f"{name} is not an address.") from error
    if not host:
        raise StartError(f"{name} is not an address.")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError) as error:
        raise StartError(
            f"{name} ({host}, port {port}) cannot be reached: {error or 'no answer'}."
        ) from error
