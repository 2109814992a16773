"""What all tests share: one real MongoDB, and services on it."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from benchmarks.support.hdfs_cluster import hdfs_cluster
from benchmarks.support.hdfs_jars import JarsMissing
from common.executions.repository import ExecutionRepository
from common.models.registry import ModelRegistry
from common.mongo.embedded import embedded_mongod
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.left_processes import has_ended
from tests.support.samples import unique_name
from tests.support.services import service_in_process

# Of what Hypothesis makes up; `make test-long` runs the same tests once more, with the other profile.
hypothesis.settings.register_profile("usual", max_examples=30)
hypothesis.settings.register_profile("many", max_examples=1000, deadline=None)
hypothesis.settings.load_profile("usual")

_FOLDER = Path(__file__).parent
_SLOW = ("service", "spark", "hdfs")
_USUAL_SECONDS = 10

_SECONDS = {
    "examples/digits/test_training.py": 120,
    "e2e/test_programs.py": 110,
    "prediction/inference/engine/test_engine.py": 80,
    "e2e/test_pages_in_a_browser.py": 80,
    "training/runs/test_supervisor.py": 75,
    "e2e/test_digits.py": 70,
    "training/search/test_search.py": 65,
    "e2e/test_replicas.py": 65,
    "e2e/test_private_rays.py": 60,
    "e2e/test_service_process.py": 60,
    "e2e/test_training_by_message.py": 55,
    "e2e/test_training_page.py": 55,
    "e2e/test_pages_in_trouble.py": 50,
    "examples/test_benchmark_algorithms.py": 50,
    "routers/serving/test_asking.py": 50,
    "routers/serving/test_versions.py": 50,
    "e2e/test_prediction_page.py": 45,
    "listener/test_failing_service.py": 45,
    "submission/environments/test_builds.py": 45,
    "submission/local/test_runner.py": 45,
    "e2e/test_application.py": 40,
    "training/runs/test_publishing_is_killed.py": 40,
    "contracts/test_model_kinds.py": 35,
    "listener/test_missed_events.py": 35,
    "benchmarks/test_initial_prediction.py": 30,
    "prediction/inference/engine/test_loads.py": 30,
    "routers/test_first_contact.py": 30,
    "e2e/test_rolling_restart.py": 25,
    "e2e/test_bulk_answers.py": 25,
    "routers/test_openapi_is_kept.py": 25,
    "submission/messages/test_broker.py": 25,
    "training/promotion/test_comparison.py": 25,
    "submission/messages/test_intake.py": 20,
    "submission/messages/test_failures.py": 15,
    "prediction/forecasts/test_odd_runs.py": 10,
    "prediction/serving/test_worker_deaths.py": 10,
}
"""What the longest files take, roughly, as the end of a run of the suite tells."""


def _seconds(item: pytest.Item) -> int:
    known = _SECONDS.get(item.path.relative_to(_FOLDER).as_posix())
    if known is not None:
        return known
    return _USUAL_SECONDS if any(item.get_closest_marker(name) for name in _SLOW) else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: workers then end at about the same time."""
    longest: Counter[Path] = Counter()
    for item in items:
        longest[item.path] = max(longest[item.path], _seconds(item))
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """A developer's own environment decides nothing here."""
    for group in Settings.model_fields:
        for name in type(getattr(Settings(), group)).model_fields:
            for variable in (name, name.upper()):
                if variable not in ("HOST", "host"):
                    os.environ.pop(variable, None)


_MEMORY, _PREFIX = Path("/dev/shm"), "enel-tests-"
_MEMORY_BYTES = 6 << 30
"""That have to be free there: a session writes about one gigabyte, and there are several workers."""


@contextmanager
def _in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in which no journal waits for a disk, where there is such room; `otherwise` elsewhere.

    What sessions that were killed have left there is removed.
    """
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        if has_ended(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _MEMORY_BYTES:
        yield otherwise
        return
    prefix = f"{_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=_MEMORY, prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="session")
async def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    with _in_memory(tmp_path_factory.mktemp("mongodb")) as folder:
        async with embedded_mongod(folder) as uri:
            yield uri


@pytest_asyncio.fixture(scope="session")
async def mongo(mongo_uri: str) -> AsyncIterator[Client]:
    # The loop of the tests stands still while a test without one runs. PyMongo 4.20 takes that for a
    # server that does not answer, although the answer is there, and breaks off what comes first then.
    client: Client = AsyncMongoClient(mongo_uri, tz_aware=True, connectTimeoutMS=0)
    yield client
    await client.close()


@pytest_asyncio.fixture(scope="session")
async def hdfs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A real HDFS that is only used, never stopped; tests that stop one start their own."""
    try:
        async with hdfs_cluster(tmp_path_factory.mktemp("hdfs")) as cluster:
            yield cluster.endpoint
    except JarsMissing as reason:
        pytest.skip(f"no HDFS: {reason}")


@pytest.fixture
def database() -> str:
    """A database of the test's own."""
    return unique_name("test")


@pytest_asyncio.fixture
async def executions(mongo: Client, database: str) -> AsyncIterator[ExecutionRepository]:
    repository = ExecutionRepository(mongo, database)
    await repository.create_indexes()
    yield repository
    await mongo.drop_database(database)


@pytest_asyncio.fixture
async def registry(mongo: Client, database: str) -> ModelRegistry:
    repository = ModelRegistry(mongo, database)
    await repository.create_indexes()
    return repository


@pytest_asyncio.fixture(scope="module")
async def service(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service in this process, with a database of the module's own."""
    async with service_in_process(mongo_uri, tmp_path_factory.mktemp("service")) as client:
        yield client


_FILES_SHOWN = 40


def pytest_report_header() -> str:
    """How much room there is for what tests write: a full disk fails them in strange ways."""
    return f"room for temporary files: {_free_gigabytes():.1f} GB"


def _free_gigabytes() -> float:
    return shutil.disk_usage(tempfile.gettempdir()).free / 1e9


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Where a run of the suite spent its time, by file: that is what is divided among workers."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    if len(seconds) > 1:
        terminalreporter.section(f"seconds by file, {sum(seconds.values()):.0f} in all")
        for file, spent in seconds.most_common(_FILES_SHOWN):
            terminalreporter.line(f"{spent:7.1f}  {file}")
        terminalreporter.line(f"{_free_gigabytes():7.1f}  GB of room are left for temporary files")
