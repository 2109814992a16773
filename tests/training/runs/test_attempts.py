"""One attempt of a training: how long it may take, and what a MongoDB that is away costs it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout

from common.errors import Conflict
from common.executions.repository import ExecutionRepository
from common.loops import running
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, TrainingData
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from tests.support.finished_runs import store_history
from training.kinds import Facts, Kinds, Material, TrainableKind
from training.promotion.gate import PromotionGate
from training.runs.documents import TrainingRun, TrainingState
from training.runs.outbox import Outbox
from training.runs.pretraining import Pretraining
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import MAX_ATTEMPTS, TrainingSupervisor

TRIALS = [
    {"event": "trial", "done": done, "total": 2, "state": "TERMINATED", "loss": 0.5, "best_loss": 0.5}
    for done in (1, 2)
]


class Scripted:
    """A kind whose child does what it is told."""

    name = "scripted"
    module = "tests.support.scripted_child"
    default_trials = 2
    most_runs = 60

    def __init__(self, reads: Callable[[int], Awaitable[object]] | None = None) -> None:
        """`reads` is what reading the history does, by how often it was read."""
        self._reads = reads
        self.read = 0

    async def collect(
        self, system_name: str, algorithm_name: str, *, trials: int, champion: ModelVersion | None
    ) -> Material:
        self.read += 1
        if self._reads is not None:
            await self._reads(self.read)
        seconds = 600 if algorithm_name == "Slow" else 0
        return Material({"events": TRIALS, "seconds": seconds}, TrainingData(runs=4, jobs=24), ["learning"])

    def facts(self, files: Mapping[str, bytes], result: Mapping[str, Any]) -> Facts:
        return Facts(schema_version=1)


class Forgetful(TrainingRunRepository):
    """A MongoDB that is away when some fields are reported first."""

    def __init__(self, client: Client, database: str) -> None:
        super().__init__(client, database)
        self.failed: list[str] = []

    async def report(
        self, run_id: str, owner: str, fields: Mapping[str, Any], lines: Sequence[str] = ()
    ) -> TrainingRun | None:
        for name, value in (("history_runs", 4), ("trials_done", 2)):
            if fields.get(name) == value and name not in self.failed:
                self.failed.append(name)
                raise AutoReconnect("for a test")
        return await super().report(run_id, owner, fields, lines)


@pytest.fixture
async def runs(mongo: Client, database: str, executions: ExecutionRepository) -> Forgetful:
    """Needs `executions` for the clean-up."""
    repository = Forgetful(mongo, database)
    await repository.create_indexes()
    return repository


Work = Callable[..., TrainingSupervisor]


@pytest.fixture
def supervisor_of(runs: Forgetful, registry: ModelRegistry, tmp_path: Path) -> Work:
    def open_(kind: Scripted, **settings: float) -> TrainingSupervisor:
        kinds = Kinds([cast(TrainableKind, kind)])
        store = FolderStore(tmp_path / "models")
        gate = PromotionGate(registry, store, kinds, tmp_path / "training")
        publisher = Publisher(runs, registry, store, gate, Outbox(tmp_path), 0.3)
        used = TrainingSettings(training_heartbeat_seconds=0.3, **settings)
        return TrainingSupervisor(runs, registry, kinds, publisher, used, tmp_path)

    return open_


def working(supervisor: TrainingSupervisor) -> contextlib.AbstractAsyncContextManager[None]:
    return running([supervisor.loop(), *supervisor.publisher.loops()])


async def enqueue(runs: TrainingRunRepository, algorithm_name: str = "KMeans") -> str:
    run = await runs.enqueue(
        system_name="spark",
        algorithm_name=algorithm_name,
        model_name=Scripted.name,
        experiment_name="tests",
        trials=2,
    )
    return run.id


async def until(runs: TrainingRunRepository, run_id: str, state: TrainingState) -> TrainingRun:
    async with asyncio.timeout(120):
        while (run := await runs.get(run_id)).state is not state:
            assert not run.state.is_final, run.detail
            await asyncio.sleep(0.05)
    return run


async def test_a_training_that_takes_too_long_has_failed_and_the_next_one_begins(
    supervisor_of: Work, runs: Forgetful, tmp_path: Path
) -> None:
    slow, next_one = await enqueue(runs, "Slow"), await enqueue(runs, "Quick")
    async with working(supervisor_of(Scripted(), training_max_seconds=5.0)):
        run = await until(runs, slow, TrainingState.FAILED)
        await until(runs, next_one, TrainingState.SUCCEEDED)
    assert run.detail == "It took longer than TRAINING_MAX_SECONDS allows (5 s)."
    assert run.trials_done == 2
    assert not (tmp_path / "training" / slow).exists()


async def test_progress_that_could_not_be_stored_is_told_later(supervisor_of: Work, runs: Forgetful) -> None:
    """The last trial's, too, after which no heartbeat follows."""
    run_id = await enqueue(runs)
    async with working(supervisor_of(Scripted())):
        run = await until(runs, run_id, TrainingState.SUCCEEDED)
    assert runs.failed == ["history_runs", "trials_done"]
    assert (run.history_runs, run.history_jobs) == (4, 24)
    assert (run.trials_done, len(run.trials), run.best_loss) == (2, 2, 0.5)
    told = [line.partition(" ")[2] for line in run.log]
    assert [line for line in told if line == "learning" or line.startswith("trial ")] == [
        "learning",
        "trial 1/2: loss 0.5000 ",
        "trial 2/2: loss 0.5000 ",
    ]


@pytest.mark.parametrize("times", [1, MAX_ATTEMPTS])
async def test_a_history_that_cannot_be_read_in_time_is_said_to_be_the_reason(
    supervisor_of: Work, runs: Forgetful, times: int
) -> None:
    async def reads(number: int) -> None:
        if number <= times:
            raise NetworkTimeout("for a test")

    run_id = await enqueue(runs)
    async with working(supervisor_of(Scripted(reads))):
        run = await until(runs, run_id, TrainingState.FAILED if times > 1 else TrainingState.SUCCEEDED)
    why = "the history could not be read in attempt {}: NetworkTimeout"
    told = [line.partition(" ")[2] for line in run.log]
    for attempt in range(1, min(times, MAX_ATTEMPTS - 1) + 1):
        assert f"{why.format(attempt)}; it starts over" in told
    if times > 1:
        assert run.detail == why.format(MAX_ATTEMPTS)
    assert run.attempts == min(times + 1, MAX_ATTEMPTS)


@pytest.mark.parametrize("asked_here", [True, False])
async def test_a_training_is_cancelled_while_its_history_is_read(
    supervisor_of: Work, runs: Forgetful, asked_here: bool
) -> None:
    """Whether this service was asked, or another one, of which a heartbeat tells."""
    reading, given_up = asyncio.Event(), asyncio.Event()

    async def reads(_: int) -> None:
        reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    supervisor = supervisor_of(Scripted(reads))
    run_id = await enqueue(runs)
    async with working(supervisor):
        await reading.wait()
        await runs.request_cancel(run_id)
        if asked_here:
            supervisor.cancel(run_id)
        run = await until(runs, run_id, TrainingState.CANCELLED)
        async with asyncio.timeout(20):
            await given_up.wait()
    assert run.detail == "cancelled on request"


async def test_one_person_has_no_more_than_so_many_trainings_under_way(
    supervisor_of: Work, runs: Forgetful, executions: ExecutionRepository
) -> None:
    """Those that others asked for would wait behind them, and those that nobody did."""
    await store_history(executions)
    kinds = model_kinds(executions, TrainingSettings())
    pretraining = Pretraining(runs, executions, supervisor_of(Scripted()), kinds, max_unfinished=2)

    async def start(by: str | None, run_id: str | None = None) -> TrainingRun:
        return await pretraining.start(
            system_name="spark",
            algorithm_name="KMeans",
            model_name="onlinepredictor",
            experiment_name="tests",
            requested_by=by,
            run_id=run_id,
        )

    first = await start("ada", "sent-twice")
    await start("ada")
    with pytest.raises(Conflict, match="TRAINING_MAX_UNFINISHED"):
        await start("ada", "another")
    assert (await start("ada", "sent-twice")).id == first.id
    assert (await start("bob")).state is (await start(None)).state is TrainingState.QUEUED
    await pretraining.cancel(first.id)
    assert (await start("ada")).state is TrainingState.QUEUED
