"""Periodic trainings in a real MongoDB: every due time fires once, however many services look."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import TrainingData
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.processes.guarded import free_port
from common.settings.training import TrainingSettings
from common.triggers import Cron, Every, Trigger
from common.wire.events import UpdateInformation
from prediction.kinds.online_predictor import OnlinePredictor
from tests.support.clocks import Clocks
from tests.support.registered import publish
from tests.support.samples import START_MS, application_start, execution, job_end
from training.history.digests import RunDigests
from training.kinds import Kinds
from training.runs.documents import TrainingRun, TrainingState
from training.runs.repository import TrainingRunRepository
from training.runs.schedules import PeriodicTrainings, TrainingSchedule

HOURLY = Every.parse("1h")
NIGHTLY = Cron.parse("0 3 * * *")

KINDS = [("one", 7), ("other", 1)]
"""Names, and how many trials each wants."""

Open = Callable[..., PeriodicTrainings]


@pytest_asyncio.fixture
async def open_periodic(mongo: Client, database: str, executions: ExecutionRepository) -> Open:
    """What each of several services on the database holds; needs `executions` for the clean-up."""
    await TrainingRunRepository(mongo, database).create_indexes()

    def open_(
        every: Trigger | None = HOURLY,
        by_algorithm: Mapping[str, Trigger] | None = None,
        client: Client = mongo,
        **options: Any,
    ) -> PeriodicTrainings:
        return PeriodicTrainings(
            client,
            database,
            TrainingRunRepository(client, database),
            ExecutionRepository(client, database),
            RunDigests(client, database, ExecutionRepository(client, database)),
            ModelRegistry(client, database),
            every_algorithm=every,
            by_algorithm=by_algorithm or {},
            **{"kinds": Kinds([OnlinePredictor(executions, TrainingSettings())]), "trials": 3, **options},
        )

    return open_


@pytest.fixture
def runs(mongo: Client, database: str) -> TrainingRunRepository:
    return TrainingRunRepository(mongo, database)


async def finished_run(
    executions: ExecutionRepository,
    algorithm_name: str = "KMeans",
    *,
    minute: int = 0,
    state: ApplicationState = ApplicationState.COMPLETED,
) -> str:
    """A run of two jobs that started this many minutes after the others."""
    run = execution(algorithm_name=algorithm_name)
    await executions.insert(run)
    start = application_start(run.id, start_time=START_MS + 60_000 * minute)
    jobs = [job_end(run.id, number, start_seconds=60.0 * minute + 5.0 * number) for number in (0, 1)]
    for body in (start, *jobs):
        await executions.apply_event(run.id, UpdateInformation.model_validate(body).event())
    await executions.record_state(run.id, state)
    return run.id


def ended_at(minute: int) -> datetime:
    """The end of the last job of such a run."""
    return datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(minutes=minute, seconds=8)


async def make_due(mongo: Client, database: str, at: datetime | None = None, **query: Any) -> None:
    at = at or utc_now() - timedelta(seconds=1)
    await mongo[database]["training_schedule"].update_many(query, {"$set": {"next_fire_at": at}})


async def end_trainings(mongo: Client, database: str) -> None:
    ended = {"$set": {"state": TrainingState.SUCCEEDED.value}}
    await mongo[database]["training_run"].update_many({}, ended)


async def only(periodic: PeriodicTrainings) -> TrainingSchedule:
    [schedule] = await periodic.schedules()
    return schedule


async def test_an_algorithm_with_a_history_gets_a_schedule(
    open_periodic: Open, executions: ExecutionRepository, runs: TrainingRunRepository
) -> None:
    periodic = open_periodic()
    await periodic.tick()
    assert not await periodic.schedules()
    await finished_run(executions)
    await periodic.tick()
    first = await only(periodic)
    assert first.id == "spark/KMeans/every 1h"
    assert (first.system_name, first.algorithm_name, first.trigger) == ("spark", "KMeans", "every 1h")
    assert timedelta(minutes=59) < first.next_fire_at - utc_now() <= timedelta(hours=1)
    assert (first.fired, first.last_fired_at, first.last_outcome) == (0, None, "")
    await finished_run(executions, "MPC")
    await periodic.tick()
    assert {schedule.algorithm_name for schedule in await periodic.schedules()} == {"KMeans", "MPC"}
    assert first in await periodic.schedules()  # it was not put off
    assert not await runs.newest()


@pytest.mark.parametrize("next_fire_at", [None, "tomorrow", {}])
async def test_one_schedule_that_makes_no_sense_holds_up_no_other(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
    next_fire_at: object,
) -> None:
    for algorithm_name in ("KMeans", "MPC"):
        await finished_run(executions, algorithm_name)
    periodic = open_periodic()
    await periodic.tick()
    await make_due(mongo, database, algorithm_name="MPC")
    stored = mongo[database]["training_schedule"]
    odd = {"$set": {"next_fire_at": next_fire_at}} if next_fire_at != {} else {"$unset": {"next_fire_at": ""}}
    await stored.update_one({"algorithm_name": "KMeans"}, odd)
    await periodic.tick()
    assert [run.algorithm_name for run in await runs.newest()] == ["MPC"]


async def test_what_is_due_is_queued(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    await finished_run(executions)
    periodic = open_periodic(NIGHTLY)
    await periodic.tick()
    await make_due(mongo, database)
    await periodic.tick()
    [run] = await runs.newest()
    assert (run.system_name, run.algorithm_name, run.model_name) == ("spark", "KMeans", "onlinepredictor")
    assert (run.state, run.trials_total, run.trigger) == (TrainingState.QUEUED, 3, "cron 0 3 * * * (UTC)")
    schedule = await only(periodic)
    assert schedule.last_training_run_id == run.id
    assert run.id in schedule.last_outcome
    assert schedule.last_fired_at is not None
    assert schedule.last_fired_by
    assert schedule.fired == 1
    assert schedule.next_fire_at == NIGHTLY.next_after(schedule.last_fired_at)


async def test_each_due_time_queues_one_training_however_many_services_look(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    algorithms = ("KMeans", "MPC")
    for name in algorithms:
        await finished_run(executions, name)
    services = [open_periodic() for _ in range(5)]
    for turn in range(8):
        # In the first turn they also meet while they add the schedules.
        await asyncio.gather(*(service.tick() for service in services for _ in range(4)))
        assert len(await runs.newest(limit=200)) == turn * len(algorithms)
        await make_due(mongo, database)
        await asyncio.gather(*(service.tick() for service in services for _ in range(4)))
        found = await runs.newest(limit=200)
        assert sorted(run.algorithm_name for run in found) == sorted(algorithms * (turn + 1))
        assert [schedule.fired for schedule in await services[0].schedules()] == [turn + 1] * 2
        await end_trainings(mongo, database)


async def test_missed_times_are_made_up_for_once(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    await finished_run(executions)
    periodic = open_periodic()
    await periodic.tick()
    await make_due(mongo, database, utc_now() - timedelta(days=10))
    for _ in range(3):
        await periodic.tick()
        await end_trainings(mongo, database)
    assert len(await runs.newest()) == 1
    assert (await only(periodic)).next_fire_at > utc_now() + timedelta(minutes=59)


async def fire(periodic: PeriodicTrainings, mongo: Client, database: str) -> str:
    """What came of it."""
    await periodic.tick()
    await make_due(mongo, database)
    before = await only(periodic)
    await periodic.tick()
    schedule = await only(periodic)
    assert schedule.fired == before.fired + 1
    assert schedule.next_fire_at > utc_now()
    assert (schedule.last_training_run_id is None) == schedule.last_outcome.startswith("skipped")
    return schedule.last_outcome


async def test_every_kind_of_model_is_trained(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    """With as many trials as it wants where the settings do not say."""
    every = [SimpleNamespace(name=name, default_trials=trials, most_runs=60) for name, trials in KINDS]
    periodic = open_periodic(kinds=Kinds(every), trials=None)
    await finished_run(executions)
    await periodic.tick()
    await make_due(mongo, database)
    await periodic.tick()
    queued = {run.model_name: run for run in await runs.newest()}
    assert [(name, queued[name].trials_total) for name, _ in KINDS] == KINDS
    schedule = await only(periodic)
    assert schedule.last_outcome == "; ".join(f"training {queued[name].id} was queued" for name, _ in KINDS)
    assert schedule.last_training_run_id == queued["other"].id


@pytest.mark.parametrize("state", [TrainingState.QUEUED, TrainingState.RUNNING, TrainingState.PUBLISHING])
async def test_nothing_is_queued_while_a_training_is_under_way(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
    state: TrainingState,
) -> None:
    await finished_run(executions)
    periodic = open_periodic()
    under_way = TrainingRun(
        id="one",
        system_name="spark",
        algorithm_name="KMeans",
        model_name="onlinepredictor",
        experiment_name="tests",
        state=state,
        trials_total=1,
    )
    await mongo[database]["training_run"].insert_one(under_way.to_mongo())
    assert "under way" in await fire(periodic, mongo, database)
    assert len(await runs.newest()) == 1
    await end_trainings(mongo, database)
    assert "was queued" in await fire(periodic, mongo, database)


async def test_without_news_nothing_is_queued(
    open_periodic: Open,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    mongo: Client,
    database: str,
    tmp_path: Path,
) -> None:
    """Fires when a run has finished since, or a job of a known one was reported late."""
    periodic, store = open_periodic(), FolderStore(tmp_path)
    learned, held_out = [await finished_run(executions, minute=minute) for minute in (0, 1)]
    data = TrainingData(
        runs=1,
        jobs=2,
        last_job_end_time=ended_at(1) - timedelta(milliseconds=400),
        run_ids=[learned],
        held_out_run_ids=[held_out],
    )
    await publish(registry, store, champion=False, training_data=data)
    assert "version 1" in await fire(periodic, mongo, database)

    for state in (ApplicationState.FAILED, ApplicationState.RUNNING, ApplicationState.KILLED):
        await finished_run(executions, minute=2, state=state)
    assert "skipped" in await fire(periodic, mongo, database)

    late = UpdateInformation.model_validate(job_end(held_out, 2, start_seconds=80.0))
    await executions.apply_event(held_out, late.event())
    assert "was queued" in await fire(periodic, mongo, database)
    await end_trainings(mongo, database)
    data.last_job_end_time = ended_at(1) + timedelta(seconds=20)
    await publish(registry, store, training_data=data)
    assert "version 2" in await fire(periodic, mongo, database)

    await finished_run(executions, minute=-5)  # it is news, though it ran before
    assert "was queued" in await fire(periodic, mongo, database)


async def test_runs_that_a_training_would_not_read_are_no_news(
    open_periodic: Open,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    mongo: Client,
    database: str,
    tmp_path: Path,
) -> None:
    run_ids = [await finished_run(executions, minute=minute) for minute in range(4)]
    data = TrainingData(runs=2, jobs=4, last_job_end_time=ended_at(3), run_ids=run_ids[2:])
    await publish(registry, FolderStore(tmp_path), training_data=data)
    assert "skipped" in await fire(open_periodic(history_runs=2), mongo, database)
    assert "was queued" in await fire(open_periodic(history_runs=3), mongo, database)


async def test_a_run_of_which_reports_are_missing_is_no_news(
    open_periodic: Open,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    mongo: Client,
    database: str,
    tmp_path: Path,
) -> None:
    """No training learns from it: each due time queued one that learned what was known."""
    whole = [await finished_run(executions, minute=minute) for minute in range(3)]
    incomplete = await finished_run(executions, minute=3)
    applications = mongo[database]["application_execution"]
    await applications.update_one({"_id": incomplete}, {"$set": {"ended_jobs": 3}})
    kind = OnlinePredictor(executions, TrainingSettings())
    material = await kind.collect("spark", "KMeans", trials=1, champion=None)
    assert material.training_data.run_ids == whole
    await publish(registry, FolderStore(tmp_path), training_data=material.training_data)
    assert "version 1" in await fire(open_periodic(), mongo, database)

    await applications.update_one({"_id": incomplete}, {"$set": {"ended_jobs": 2}})
    assert "was queued" in await fire(open_periodic(), mongo, database)


_QUESTION = ("find", "filter", "projection", "sort", "limit", "distinct", "key", "query")


class Questions(CommandListener):
    """What was asked about application executions, to be explained."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get(event.command_name) == "application_execution":
            assert event.command_name in _QUESTION, event.command_name
            self.asked.append({name: event.command[name] for name in event.command if name in _QUESTION})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


async def test_looking_for_what_is_due_reads_few_runs_however_many_there_are(
    open_periodic: Open,
    executions: ExecutionRepository,
    mongo: Client,
    mongo_uri: str,
    database: str,
) -> None:
    """Services look every two seconds; where that takes longer than they wait, nothing is due again."""
    await finished_run(executions)
    applications = mongo[database]["application_execution"]
    one = await applications.find_one()
    assert one is not None
    await applications.insert_many([{**one, "_id": f"run-{number}"} for number in range(500)])
    questions = Questions()
    client: Client = AsyncMongoClient(mongo_uri, tz_aware=True, event_listeners=[questions])
    try:
        periodic = open_periodic(client=client)
        for _ in range(10):
            await periodic.tick()
    finally:
        await client.close()
    explained = [
        await mongo[database].command("explain", asked, verbosity="executionStats")
        for asked in questions.asked
    ]
    read, keys = (
        [each["executionStats"][name] for each in explained]
        for name in ("totalDocsExamined", "totalKeysExamined")
    )
    assert len(read) >= 10
    assert sum(read) <= 100
    assert sum(keys) <= 200
    assert (await only(open_periodic())).algorithm_name == "KMeans"


async def test_without_a_finished_run_nothing_is_queued(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    await finished_run(executions, state=ApplicationState.FAILED)
    assert "no finished run" in await fire(open_periodic(), mongo, database)
    assert not await runs.newest()


async def test_an_expression_replaces_the_interval_of_its_algorithm(
    open_periodic: Open, executions: ExecutionRepository
) -> None:
    for name in ("KMeans", "MPC"):
        await finished_run(executions, name)
    both = open_periodic(HOURLY, {"MPC": NIGHTLY, "Unheard": NIGHTLY})
    await both.tick()
    triggers = {schedule.algorithm_name: schedule.trigger for schedule in await both.schedules()}
    assert triggers == {"KMeans": "every 1h", "MPC": "cron 0 3 * * * (UTC)"}
    one = open_periodic(None, {"MPC": NIGHTLY})
    await one.tick()
    assert (await only(one)).algorithm_name == "MPC"
    assert both.configured
    assert one.configured
    nothing = open_periodic(None)
    assert not nothing.configured
    await nothing.tick()
    assert not await nothing.schedules()


async def test_services_with_other_triggers_keep_schedules_of_their_own(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    mongo: Client,
    database: str,
) -> None:
    await finished_run(executions)
    hourly, nightly = open_periodic(HOURLY), open_periodic(NIGHTLY)
    for service in (hourly, nightly):
        await service.tick()
    await make_due(mongo, database, trigger="every 1h")
    await nightly.tick()
    assert not await runs.newest()
    await hourly.tick()
    [run] = await runs.newest()
    assert run.trigger == "every 1h"
    assert ((await only(hourly)).fired, (await only(nightly)).fired) == (1, 0)


async def test_a_clock_that_is_set_back_makes_nothing_due_again(
    open_periodic: Open,
    executions: ExecutionRepository,
    mongo: Client,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await finished_run(executions)
    periodic = open_periodic(NIGHTLY)
    await periodic.tick()
    three = datetime(2026, 3, 4, 3, tzinfo=UTC)
    await make_due(mongo, database, three)
    looked, fired = three + timedelta(seconds=1), three - timedelta(seconds=5)
    times = chain([looked], repeat(fired))  # a transaction may be tried again
    monkeypatch.setattr("training.runs.schedules.utc_now", lambda: next(times))
    await periodic.tick()
    assert (await only(periodic)).next_fire_at == three + timedelta(days=1)


async def test_an_interval_is_never_longer_than_itself_after_a_clock_was_set_back(
    open_periodic: Open,
    executions: ExecutionRepository,
    runs: TrainingRunRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = Clocks(monkeypatch)
    await finished_run(executions)
    periodic = open_periodic(HOURLY)
    await periodic.tick()
    clocks.set_back(hours=2)
    await periodic.tick()
    assert not await runs.newest()
    clocks.pass_seconds(3601)
    await periodic.tick()
    assert len(await runs.newest()) == 1
    assert (await only(periodic)).fired == 1


async def test_a_mongodb_that_is_away_is_waited_for(
    open_periodic: Open, caplog: pytest.LogCaptureFixture
) -> None:
    away: Client = AsyncMongoClient(
        f"mongodb://127.0.0.1:{free_port()}", serverSelectionTimeoutMS=200, tz_aware=True
    )
    await open_periodic(client=away).tick()
    assert "wait for MongoDB" in caplog.text
    await away.close()
