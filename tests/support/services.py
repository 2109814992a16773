"""The service in this process, and in one of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager

from app.client import process
from app.client.process import NotReady, ServiceProcess
from common.settings.settings import Settings
from tests.support.samples import unique_name


@asynccontextmanager
async def service_in_process(
    mongo_uri: str,
    data_dir: Path,
    *,
    configure: Callable[[Settings], None] = lambda _: None,
    **training: object,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows its service's `database` and `data_dir`.

    Args:
        configure: Changes the settings.
        training: Settings of that group.
    """
    # Imported here: tests of the lower layers do not need the whole house.
    from app.factory import create_app

    settings = Settings()
    settings.mongo.mongodb_endpoint = mongo_uri
    settings.mongo.mongodb_database = unique_name("service")
    settings.mongo.mongodb_timeout_seconds = 60.0
    settings.server.data_dir = data_dir
    settings.server.host = "127.0.0.1"
    settings.training.training_heartbeat_seconds = 0.5
    settings.training.training_concurrent_trials = int(USUAL["TRAINING_CONCURRENT_TRIALS"])
    for name, value in training.items():
        setattr(settings.training, name, value)
    configure(settings)
    app = create_app(settings)
    async with LifespanManager(app, startup_timeout=60, shutdown_timeout=60) as manager:
        transport = httpx.ASGITransport(app=manager.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as client:
            client.database = settings.mongo.mongodb_database  # type: ignore[attr-defined]
            client.data_dir = data_dir  # type: ignore[attr-defined]
            yield client


USUAL = {"MONGODB_TIMEOUT_SECONDS": "60", "TRAINING_CONCURRENT_TRIALS": "1"}
"""Patience for machines that stand still now and then, which tests of a database that is away do not have;
and one actor of Ray for a training: each further one starts a Python and imports torch, for a trial."""


def started_service(folder: Path, **environment: str) -> AbstractAsyncContextManager[ServiceProcess]:
    """`python main.py` as a person starts it, without a guard that would tidy up behind it."""
    return process.started_service(folder, {**USUAL, **environment}, guarded=False)


def on_mongodb(uri: str) -> dict[str, str]:
    """Environment of a service with a database of its own on a MongoDB that is there: it starts none."""
    return {"MONGODB_ENDPOINT": uri, "MONGODB_DATABASE": unique_name("service")}


@asynccontextmanager
async def client_of_started_service(folder: Path, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that is started as a person starts it; patient, as models have to be loaded."""
    async with (
        started_service(folder, **environment) as service,
        httpx.AsyncClient(base_url=service.url, timeout=120) as client,
    ):
        yield client


async def failing_start(folder: Path, **environment: str) -> tuple[int | None, str]:
    """Exit code, and all that was logged, of a service that does not come up."""
    with pytest.raises(NotReady) as failure:
        async with started_service(folder, **environment):
            pass
    return failure.value.returncode, (folder / "service.log").read_text()
