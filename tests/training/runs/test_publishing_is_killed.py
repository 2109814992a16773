"""Publishing survives a kill before each of its steps: the proof, by doing just that.

A process publishes a model and kills itself before its first step; the next one before its second, and
so on until one comes to its end. `publishing_child.py` tells what a step is.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import hdfs
import pytest
import pytest_asyncio

from common.executions.repository import ExecutionRepository
from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import ARTIFACTS, ModelVersion, VersionState, read_version
from common.mongo.types import Client
from common.settings.group import PROJECT_ROOT
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from tests.support.publishing.fixed_gate import FixedGate
from tests.support.publishing.publishing_child import open_store
from tests.support.registered import NAME
from tests.support.samples import unique_name
from training.runs.documents import TrainingRun, TrainingState
from training.runs.garbage import collect_garbage
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import TrainingSupervisor

pytestmark = pytest.mark.timeout(600)  # there are hundreds of kills

FOLDER = f"{ARTIFACTS}/spark/KMeans/onlinepredictor"
KEPT = "file rename outbox/.incomplete.ARTIFACT"
COMMITTED = "mongodb commitTransaction: done"

COMMON_STEPS = {
    "file open outbox/.incomplete.ARTIFACT/weights.safetensors",
    "file half of outbox/.incomplete.ARTIFACT/weights.safetensors",
    KEPT,
    "mongodb findAndModify training_run",
    "mongodb update training_run",  # the fence
    "mongodb findAndModify model",  # the next number
    "mongodb insert model_version",
    "mongodb commitTransaction",
    COMMITTED,
    "mongodb update model_version",  # how it compares
    "mongodb findAndModify training_run: done",
    "file remove weights.safetensors",  # from the outbox
    "file rename outbox/ARTIFACT",
}
STEPS = {
    "folder": COMMON_STEPS
    | {
        f"file mkdir {FOLDER}/.incomplete.ARTIFACT",
        f"file open {FOLDER}/.incomplete.ARTIFACT/weights.safetensors",
        f"file half of {FOLDER}/.incomplete.ARTIFACT/weights.safetensors",
        f"file rename {FOLDER}/.incomplete.ARTIFACT",
    },
    "hdfs": COMMON_STEPS
    | {
        "hdfs MKDIRS .incomplete.ARTIFACT",
        "hdfs CREATE weights.safetensors",
        "hdfs datanode CREATE weights.safetensors",
        "hdfs content of a file",
        "hdfs RENAME .incomplete.ARTIFACT",
    },
}
"""What publishing cannot do without; all of it has to have been cut short."""

Steps = tuple[int, list[str]]
"""Exit code of a process, and its steps; the last of them was not done if it was killed."""


@dataclass
class Place:
    """A store, a database and a service's own folder, in which one version after another is published."""

    uri: str
    database: str
    runs: TrainingRunRepository
    registry: ModelRegistry
    executions: ExecutionRepository
    store: ArtifactStore
    data_dir: Path
    hdfs: dict[str, Any] | None
    promoted: bool
    child: asyncio.subprocess.Process

    async def publish(self, kill_at: int, *, is_restart: bool = False) -> Steps:
        """In a process that is killed before step `kill_at`, if there is one; 0: in any case to its end."""
        request = {
            "mongo_uri": self.uri,
            "database": self.database,
            "data_dir": str(self.data_dir),
            "hdfs": self.hdfs,
            "promoted": self.promoted,
            "kill_at": kill_at,
            "is_restart": is_restart,
        }
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{json.dumps(request)}\n".encode())
        line = await self.child.stdout.readline()
        assert line, "the process that publishes has ended"
        ended = json.loads(line)
        code, steps = ended["code"], ended["steps"]
        assert code in (0, -signal.SIGKILL, -signal.SIGXFSZ), ended["errors"]
        assert len(steps) == kill_at or code == 0
        return code, steps

    async def queue_training(self) -> str:
        run = await self.runs.enqueue(
            system_name="spark",
            algorithm_name="KMeans",
            model_name="onlinepredictor",
            experiment_name="tests",
            trials=1,
        )
        return run.id

    async def champion(self) -> ModelVersion:
        champion = await self.registry.find_champion(NAME)
        assert champion is not None
        return champion

    async def version_of(self, run_id: str) -> ModelVersion | None:
        versions = await self.registry.versions(NAME, limit=1000)
        found = [version for version in versions if version.training_run_id == run_id]
        assert len(found) <= 1
        return found[0] if found else None

    async def restart(self) -> None:
        """What a service does when it starts, and then once each of what it does for as long as it runs."""
        gate = FixedGate(self.registry, promoted=self.promoted)
        publisher = Publisher(self.runs, self.registry, self.store, gate, Outbox(self.data_dir), 60.0)
        settings = TrainingSettings()
        kinds = model_kinds(self.executions, settings)
        supervisor = TrainingSupervisor(self.runs, self.registry, kinds, publisher, settings, self.data_dir)
        await publisher.claim()
        await supervisor.recover_dead()
        assert await publisher.publish_all() == 0
        await collect_garbage(self.store, self.runs, self.registry)

    def left_in_outbox(self) -> list[str]:
        return sorted(path.name for path in (self.data_dir / "outbox").glob("*"))

    def left_in_store(self) -> list[str]:
        """Names of all folders, whatever they are; not as the store itself would tell it."""
        if self.hdfs is None:
            return sorted(path.name for path in (self.data_dir / FOLDER).glob("*"))
        client = hdfs.InsecureClient(self.hdfs["hdfs_endpoint"])
        return sorted(client.list(f"{self.hdfs['hdfs_output_dir']}/{FOLDER}"))


@pytest_asyncio.fixture(scope="module")
async def _impatient_mongod(mongo: Client) -> AsyncIterator[None]:
    """A transaction whose client was killed holds its documents for a minute; here, for a second."""
    await mongo.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=1)
    yield
    await mongo.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=60)


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, kind: str) -> str | None:
    return request.getfixturevalue("hdfs_endpoint") if kind == "hdfs" else None


@asynccontextmanager
async def publishing_child() -> AsyncIterator[asyncio.subprocess.Process]:
    """Publishes as often as it is asked to."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.publishing.publishing_child"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT_ROOT,
        limit=1 << 20,
    )
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        await child.wait()


@pytest_asyncio.fixture
async def places(
    endpoint: str | None,
    promoted: bool,
    mongo: Client,
    mongo_uri: str,
    tmp_path: Path,
    _impatient_mongod: None,
) -> AsyncIterator[list[Place]]:
    """Two, to be used at once, each with a version that serves."""
    async with AsyncExitStack() as stack:
        opened = []
        for name in ("one", "other"):
            database, data_dir = unique_name("killed"), tmp_path / name
            stack.push_async_callback(mongo.drop_database, database)
            settings = {"hdfs_endpoint": endpoint, "hdfs_output_dir": f"/tests/{unique_name('killed')}"}
            runs, registry = TrainingRunRepository(mongo, database), ModelRegistry(mongo, database)
            await runs.create_indexes()
            await registry.create_indexes()
            place = Place(
                uri=mongo_uri,
                database=database,
                runs=runs,
                registry=registry,
                executions=ExecutionRepository(mongo, database),
                store=await open_store(settings if endpoint else None, data_dir, stack),
                data_dir=data_dir,
                hdfs=settings if endpoint else None,
                promoted=promoted,
                child=await stack.enter_async_context(publishing_child()),
            )
            await place.queue_training()
            assert (await place.publish(0))[0] == 0
            opened.append(place)
        yield opened


HDFS, LONG = pytest.mark.hdfs, pytest.mark.long


@pytest.mark.parametrize(
    ("kind", "promoted"),
    [
        pytest.param("folder", True, id="promoted-folder"),
        pytest.param("hdfs", True, marks=HDFS, id="promoted-hdfs"),
        pytest.param("folder", False, id="refused-folder"),
        # A refusal is a matter of MongoDB: to the store it is what a promotion is.
        pytest.param("hdfs", False, marks=[HDFS, LONG], id="refused-hdfs"),
    ],
)
async def test_whatever_step_a_kill_prevents_a_whole_version_serves_and_a_restart_makes_up_for_it(
    kind: str, places: list[Place]
) -> None:
    async def attempt(place: Place, run_id: str, number: int) -> Steps:
        return await place.publish(number)

    prevented = await kill_at_each_step(places, attempt)
    assert STEPS[kind] <= set(prevented)
    assert prevented.count("mongodb commitTransaction") == 2
    assert ("mongodb update model" in prevented) == places[0].promoted  # the alias


@pytest.mark.parametrize("promoted", [True], ids=["promoted"])
@pytest.mark.parametrize("kind", ["folder", pytest.param("hdfs", marks=[HDFS, LONG])])
async def test_a_kill_at_any_step_of_the_restart_changes_nothing_about_that(
    kind: str, places: list[Place]
) -> None:
    """The restart finds files that are complete in the store, but not registered."""
    await places[0].queue_training()
    _, undisturbed = await places[0].publish(0)
    before_entry = 1 + undisturbed.index("mongodb update training_run")

    async def attempt(place: Place, run_id: str, number: int) -> Steps:
        code, steps = await place.publish(before_entry)
        assert code
        code, after_restart = await place.publish(number, is_restart=True)
        return code, [*steps[:-1], *after_restart]

    prevented = await kill_at_each_step(places, attempt)
    assert prevented.count("mongodb commitTransaction") == 2
    assert prevented.count("file rename outbox/ARTIFACT") == 1


Attempt = Callable[[Place, str, int], Awaitable[Steps]]


async def kill_at_each_step(places: Sequence[Place], attempt: Attempt) -> list[str]:
    """Until an attempt is not killed any more; returns the steps that kills have prevented."""
    prevented: dict[int, str] = {}
    numbers = count(1)

    async def kill_in(place: Place) -> None:
        code = -1
        while code:
            number = next(numbers)
            code, step = await survive(place, attempt, number)
            if code:
                prevented[number] = step

    await asyncio.gather(*(kill_in(place) for place in places))
    found = [step for _, step in sorted(prevented.items())]
    print(f"\n{len(found)} kills, each before one of:", *found, sep="\n  ")
    return found


async def survive(place: Place, attempt: Attempt, number: int) -> tuple[int, str]:
    while True:
        old, run_id = await place.champion(), await place.queue_training()
        code, steps = await attempt(place, run_id, number)
        await check_what_serves(place, old, run_id, steps)
        await place.restart()
        if KEPT in steps[: -1 if code else None]:
            await check_published(place, old, run_id)
        else:
            await check_starts_over(place, old, run_id)
        await check_nothing_is_left(place)
        if not any(step.endswith(": failed") for step in steps):
            return code, steps[-1]
        # MongoDB has asked for a transaction to be repeated, so that this was another step than meant.


async def check_what_serves(place: Place, old: ModelVersion, run_id: str, steps: list[str]) -> None:
    champion = await place.champion()
    is_new = place.promoted and steps.count(COMMITTED) == 2  # of the entry, and of the alias
    assert champion.training_run_id == (run_id if is_new else old.training_run_id)
    assert champion.state is VersionState.READY
    assert await read_version(place.store, champion)


async def check_published(place: Place, old: ModelVersion, run_id: str) -> None:
    version, run = await place.version_of(run_id), await place.runs.get(run_id)
    assert version is not None
    assert version.promotion is not None
    assert version.promotion.promoted == place.promoted
    assert version.promotion.champion_version == old.version
    assert json.loads((await read_version(place.store, version))["model.json"]) == {"of": run_id}
    assert (await place.champion()).version == (version if place.promoted else old).version
    assert run.state is TrainingState.SUCCEEDED, run.detail
    assert run.result is not None
    assert (run.result.artifact_key, run.result.version) == (version.artifact_key, version.version)
    assert run.result.promotion == version.promotion


async def check_starts_over(place: Place, old: ModelVersion, run_id: str) -> None:
    """The model was not yet kept: its training, which nobody works on any more, is queued again."""
    run: TrainingRun = await place.runs.get(run_id)
    assert (run.state, run.owner, run.artifact_id) == (TrainingState.QUEUED, None, None)
    assert await place.version_of(run_id) is None
    assert (await place.champion()).version == old.version
    await place.runs.request_cancel(run_id)


async def check_nothing_is_left(place: Place) -> None:
    assert place.left_in_outbox() == []
    registered = sorted(key.rpartition("/")[2] for key in await place.registry.artifact_keys())
    for _ in range(20):
        if place.left_in_store() == registered:
            break
        # HDFS goes on for a moment with what the killed process had asked for; a service tidies up for ever.
        await asyncio.sleep(0.5)
        await collect_garbage(place.store, place.runs, place.registry)
    assert place.left_in_store() == registered
