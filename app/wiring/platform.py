"""Where applications run: the platforms that there are, and how the runner of each is built.

Another one is a function here and a line in `PLATFORMS`.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import ServiceError, StartError
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.settings.settings import Settings
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.errors import KubernetesUnavailable
from submission.kubernetes.kept_logs import DriverLogRepository
from submission.kubernetes.kubeflow import KUBEFLOW
from submission.local.runner import LOCAL, LocalSparkRunner
from submission.manifest.platform import Platform
from submission.runners import Runner, TokenFor

DIALECTS: Mapping[str, Dialect] = {"kubeflow": KUBEFLOW, "apache": APACHE}
"""By what SPARK_OPERATOR says."""
_OPERATORS = {operator: dialect.platform.name for operator, dialect in DIALECTS.items()}

logger = logging.getLogger(__name__)

StartRunner = Callable[[Path, Client, ExecutionRepository, TokenFor], Runner]
"""From DATA_DIR, what is stored, and what makes drivers' tokens, to a runner, which is closed before the
platform is left."""


@dataclass(frozen=True)
class Wiring:
    """How the service comes to a platform's runner."""

    platform: Platform
    is_configured: Callable[[Settings], bool]
    """Whether the settings say how to reach it."""
    connect: Callable[[Settings], AbstractAsyncContextManager[StartRunner]]
    """Opens what a runner needs besides what is stored. Raises StartError where that is of no use."""


def chosen_platform(settings: Settings) -> Wiring:
    """The platform that SUBMISSION_PLATFORM names, otherwise the first that is configured.

    Raises:
        StartError: There is none of that name, or it is not configured.
    """
    name = settings.submission.submission_platform
    configured = [wiring for wiring in PLATFORMS if wiring.is_configured(settings)]
    if not name:
        return configured[0]
    for wiring in configured:
        if wiring.platform.name == name:
            return wiring
    known = [wiring.platform.name for wiring in PLATFORMS]
    if name in _OPERATORS.values() and settings.kubernetes.is_configured:
        chosen = _OPERATORS[settings.kubernetes.spark_operator]
        raise StartError(f"SUBMISSION_PLATFORM: SPARK_OPERATOR says {chosen}: leave one of them out.")
    if name in known:
        raise StartError(f"SUBMISSION_PLATFORM: no setting says how to reach {name}.")
    raise StartError(f"SUBMISSION_PLATFORM: {name!r} is none of {', '.join(known)}.")


@asynccontextmanager
async def _kubernetes(settings: Settings, dialect: Dialect) -> AsyncIterator[StartRunner]:
    """With a connection that works in every namespace."""
    # The client and what it needs is loaded where it is used: half a second, and 20 MB.
    from submission.kubernetes.client import kubernetes_client
    from submission.kubernetes.listener_secrets import ListenerSecrets
    from submission.kubernetes.resources import SparkApplications
    from submission.kubernetes.runner import SparkOperatorRunner

    async with kubernetes_client(settings.kubernetes) as kubernetes:
        applications = SparkApplications(kubernetes, dialect)
        for namespace in settings.kubernetes.namespaces:
            try:
                await applications.ours(namespace, limit=1)
            except KubernetesUnavailable as error:
                raise StartError(f"{error.look_at or settings.kubernetes.setting}: {error}") from error
            except ServiceError as error:
                raise StartError(f"{settings.kubernetes.setting}: {error}") from error
        logger.info(
            "Applications run on %s, in %s",
            dialect.platform.in_words,
            ", ".join(settings.kubernetes.namespaces),
        )

        def start(_: Path, mongo: Client, executions: ExecutionRepository, token_for: TokenFor) -> Runner:
            return SparkOperatorRunner(
                applications,
                executions,
                DriverLogRepository(mongo, settings.mongo.mongodb_database),
                settings.kubernetes.namespaces,
                listener_secrets=ListenerSecrets(kubernetes, token_for),
                pickup_seconds=settings.kubernetes.operator_pickup_timeout_seconds,
            )

        yield start


@asynccontextmanager
async def _local(settings: Settings) -> AsyncIterator[StartRunner]:
    """Its Spark starts with the first application."""

    def start(data_dir: Path, _: Client, executions: ExecutionRepository, token_for: TokenFor) -> Runner:
        return LocalSparkRunner(
            data_dir / "spark",
            executions.record_state,
            name=f"{LOCAL.name}/{_instance(data_dir)}" if settings.mongo.mongodb_endpoint else LOCAL.name,
            cores=settings.submission.local_spark_cores,
            memory=settings.submission.local_spark_memory,
            max_applications=settings.submission.local_spark_max_applications,
            token_for=token_for,
        )

    yield start


def _instance(data_dir: Path) -> str:
    """What tells this folder's service from others on the same MongoDB, also after a restart."""
    path = data_dir / "instance"
    try:
        if not path.exists() or not path.read_text():
            path.write_text(secrets.token_hex(4))
        return path.read_text()
    except (OSError, UnicodeError) as error:
        raise StartError(f"DATA_DIR: {path} cannot be read or written: {type(error).__name__}.") from error


def _operated(operator: str) -> Wiring:
    """Kubernetes with one of the operators."""
    dialect = DIALECTS[operator]

    def is_configured(settings: Settings) -> bool:
        return settings.kubernetes.is_configured and settings.kubernetes.spark_operator == operator

    return Wiring(dialect.platform, is_configured, partial(_kubernetes, dialect=dialect))


PLATFORMS = (
    *map(_operated, DIALECTS),
    Wiring(LOCAL, lambda _: True, _local),
)
"""The first that is configured is the default."""
