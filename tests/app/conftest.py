"""A service as a process of its own with a history and a model, and `enel` as people call it."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_asyncio
from tenacity.wait import wait_exponential_jitter

from app.cli.main import run
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.command_line import LEARNED, Enel, Ran
from tests.support.finished_runs import store_history
from tests.support.samples import unique_name
from tests.support.served_model import Registered
from tests.support.services import started_service


@pytest_asyncio.fixture(scope="session")
async def service_url(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("cli-service")
    jar = folder / "plugin.jar"
    jar.touch()
    database = unique_name("cli")
    await store_history(ExecutionRepository(mongo, database), LEARNED)
    environment = {
        "MONGODB_ENDPOINT": mongo_uri,
        "MONGODB_DATABASE": database,
        "LISTENER_JAR": str(jar),
        "TRAINING_TRIALS": "1",
    }
    async with started_service(folder / "data", **environment) as service:
        known = SimpleNamespace(data_dir=folder / "data", database=database)
        model = Registered(known, mongo)  # type: ignore[arg-type]
        for _ in range(2):
            await model.publish(algorithm_name=LEARNED)
        yield service.url
    await mongo.drop_database(database)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again, is so at once; how often and for how long stays as it is."""
    pauses = wait_exponential_jitter(multiplier=0.005, max=0.02, jitter=0.005)
    monkeypatch.setattr("app.client.retries._pause", pauses)
    monkeypatch.setattr("app.cli.commands.waiting._PAUSE_SECONDS", 0.0)


@pytest.fixture
def enel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, service_url: str
) -> Enel:
    """Runs a command against the service of the tests; nothing of the developer's own profile counts."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ENEL_URL", service_url)
    monkeypatch.delenv("ENEL_TOKEN", raising=False)

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ran(int(code), *capsys.readouterr())

    return call
