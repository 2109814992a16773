"""Opens configured endpoints: one that is set has to work, or the service does not start."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import ServiceError, StartError
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.settings import Settings
from submission.kubernetes.client import kubernetes_client
from submission.kubernetes.errors import KubernetesUnavailable
from submission.kubernetes.kept_logs import DriverLogRepository
from submission.kubernetes.resources import SparkApplications
from submission.kubernetes.runner import SparkOperatorRunner
from submission.local.runner import LocalSparkRunner
from submission.runners import Runner

logger = logging.getLogger(__name__)


@asynccontextmanager
async def spark_applications(settings: Settings) -> AsyncIterator[SparkApplications | None]:
    """Where applications are created; None where they run on this machine.

    Raises:
        StartError: Kubernetes is configured, but cannot be used in every namespace.
    """
    if not settings.kubernetes.is_configured:
        yield None
        return
    async with kubernetes_client(settings.kubernetes) as kubernetes:
        applications = SparkApplications(kubernetes)
        for namespace in settings.kubernetes.namespaces:
            try:
                await applications.ours(namespace, limit=1)
            except KubernetesUnavailable as error:
                raise StartError(f"{error.look_at or settings.kubernetes.setting}: {error}") from error
            except ServiceError as error:
                raise StartError(f"{settings.kubernetes.setting}: {error}") from error
        logger.info("Applications run on Kubernetes, in %s", ", ".join(settings.kubernetes.namespaces))
        yield applications


@asynccontextmanager
async def application_runner(
    settings: Settings,
    data_dir: Path,
    mongo: Client,
    executions: ExecutionRepository,
    applications: SparkApplications | None,
) -> AsyncIterator[Runner]:
    """What carries out manifests; what it still has to do when the context ends, it gives up."""
    if applications is not None:
        on_kubernetes = SparkOperatorRunner(
            applications,
            executions,
            DriverLogRepository(mongo, settings.mongo.mongodb_database),
            settings.kubernetes.namespaces,
            pickup_seconds=settings.kubernetes.operator_pickup_timeout_seconds,
        )
        on_kubernetes.watch()
        try:
            yield on_kubernetes
        finally:
            await on_kubernetes.aclose()
        return
    local = LocalSparkRunner(
        data_dir / "spark",
        executions.record_state,
        name=f"local/{_instance(data_dir)}" if settings.mongo.mongodb_endpoint else "local",
        cores=settings.submission.local_spark_cores,
        memory=settings.submission.local_spark_memory,
        max_applications=settings.submission.local_spark_max_applications,
        callback_token=settings.submission.callback_token,
    )
    try:
        yield local
    finally:
        await local.aclose()


def _instance(data_dir: Path) -> str:
    """What tells this folder's service from others on the same MongoDB, also after a restart."""
    path = data_dir / "instance"
    try:
        if not path.exists() or not path.read_text():
            path.write_text(secrets.token_hex(4))
        return path.read_text()
    except (OSError, UnicodeError) as error:
        raise StartError(f"DATA_DIR: {path} cannot be read or written: {type(error).__name__}.") from error
