"""How right forecasts were, from the end of a run to a training that a drift asks for."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.executions.candidate import Candidate
from common.executions.documents import ApplicationExecution, ApplicationState, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from submission.accuracy.documents import RunAccuracy
from submission.accuracy.drift import Band
from submission.accuracy.measure import measure
from submission.accuracy.repository import RUNS, AccuracyRepository
from submission.accuracy.watch import AccuracyWatch
from tests.support.finished_runs import store_history
from tests.support.registered import publish
from tests.support.samples import execution, unique_name
from tests.support.scraping import Counted
from training.runs.pretraining import Pretraining
from training.runs.repository import TrainingRunRepository

STARTED = utc_now() - timedelta(hours=1)


class NoSupervisor:
    """Nobody carries trainings out here."""

    def wake(self) -> None:
        pass


def completed(runtime_seconds: float = 100.0) -> ApplicationExecution:
    run = execution(max_runtime=120.0)
    run.state, run.start_time = ApplicationState.COMPLETED, STARTED
    run.end_time = STARTED + timedelta(seconds=runtime_seconds)
    run.start_scale_out = 2
    return run


def decision(run: ApplicationExecution, elapsed_seconds: float, **fields: Any) -> ScalingDecision:
    """After a job, keeping two executors: 80 seconds are expected, 68 to 94 of them in nine cases of ten."""
    return ScalingDecision(
        **{
            "id": unique_name("decision"),
            "application_execution_id": run.id,
            "job_id": int(elapsed_seconds),
            "decided_at": STARTED + timedelta(seconds=elapsed_seconds),
            "elapsed_seconds": elapsed_seconds,
            "current_scale_out": 2,
            "chosen_scale_out": 2,
            "target_seconds": 120.0,
            "model_key": "spark.KMeans.onlinepredictor/1",
            "candidates": [Candidate(2, 80.0, 0.1), Candidate(4, 40.0, 0.1)],
            "reason": "",
            **fields,
        }
    )


def test_forecasts_are_held_against_what_came() -> None:
    run = completed(runtime_seconds=100.0)
    found = measure(run, [], [decision(run, 20.0), decision(run, 50.0)])
    [accuracy] = found
    assert accuracy.error == pytest.approx((0.0 + 30 / 50) / 2)
    assert (accuracy.forecasts, accuracy.with_interval, accuracy.covered) == (2, 2, 1)


def test_each_model_is_held_to_its_own_forecasts() -> None:
    run = completed()
    decisions = [
        decision(run, 20.0),
        decision(run, 50.0, model_key="ernest", candidates=[Candidate(2, 50.0)]),
    ]
    by_key = {each.model_key: each for each in measure(run, [], decisions)}
    assert by_key["ernest"].error == 0.0
    assert (by_key["ernest"].with_interval, by_key["ernest"].covered) == (0, 0)
    assert set(by_key) == {"ernest", "spark.KMeans.onlinepredictor/1"}


def test_what_was_left_alone_is_held_against_the_executors_that_it_had() -> None:
    run = completed(runtime_seconds=100.0)
    [accuracy] = measure(run, [], [decision(run, 20.0, chosen_scale_out=4, shadow=True)])
    assert accuracy.error == 0.0


@pytest.mark.parametrize(
    "state", [state for state in ApplicationState if state is not ApplicationState.COMPLETED]
)
def test_only_runs_that_completed_say_anything(state: ApplicationState) -> None:
    run = completed()
    run.state = state
    assert measure(run, [], [decision(run, 20.0)]) == []


def test_the_last_moment_and_other_scale_outs_say_nothing() -> None:
    run = completed(runtime_seconds=100.0)
    assert measure(run, [], [decision(run, 99.5)]) == []
    assert measure(run, [], [decision(run, 20.0, candidates=[Candidate(4, 40.0)])]) == []


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


@pytest.fixture
def counted(instruments: Instruments) -> Counted:
    return Counted(instruments.registry)


@pytest.fixture
async def watch(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    instruments: Instruments,
) -> AccuracyWatch:
    runs = TrainingRunRepository(mongo, database)
    await runs.create_indexes()
    kinds = model_kinds(executions, TrainingSettings())
    pretraining = Pretraining(runs, executions, NoSupervisor(), kinds)  # type: ignore[arg-type]
    accuracies = AccuracyRepository(mongo, database)
    await accuracies.create_indexes()
    band = Band(error_ratio=2.0, least_runs=3)
    return AccuracyWatch(
        executions, registry, accuracies, pretraining, band, train_on_drift=True, instruments=instruments
    )


async def store_run(
    executions: ExecutionRepository, version: ModelVersion, runtime_seconds: float
) -> ApplicationExecution:
    run = completed(runtime_seconds)
    await executions.insert(run)
    await executions.insert_decision(decision(run, 20.0, model_key=version.id))
    return run


async def test_a_model_that_drifts_is_told_and_trained_once(
    watch: AccuracyWatch, executions: ExecutionRepository, registry: ModelRegistry, tmp_path: Path
) -> None:
    await store_history(executions)  # to learn from
    version = await publish(registry, FolderStore(tmp_path))  # 10% by cross-validation
    for _ in range(3):
        await store_run(executions, version, runtime_seconds=105.0)
    await watch.tick()
    observed = (await watch.accuracies.observed([version.id])).get(version.id)
    assert observed is not None
    assert (observed.runs, observed.coverage) == (3, 1.0)
    assert observed.error == pytest.approx(5 / 85)
    assert await watch.drifts() == []

    for _ in range(3):
        await store_run(executions, version, runtime_seconds=300.0)
    await watch.tick()
    [(champion, why)] = await watch.drifts()
    assert champion.id == version.id
    assert "its last 6 runs are wrong by 39%, where 10%" in why
    runs = watch._pretraining.runs
    [queued] = await runs.newest()
    assert queued.trigger == "drift of version 1"
    await watch.tick()
    await store_run(executions, version, runtime_seconds=300.0)
    await watch.tick()
    assert len(await runs.newest()) == 1


async def test_a_run_is_measured_once_and_when_its_reports_are_in(
    watch: AccuracyWatch, executions: ExecutionRepository, registry: ModelRegistry, tmp_path: Path
) -> None:
    version = await publish(registry, FolderStore(tmp_path))
    run = await store_run(executions, version, runtime_seconds=100.0)
    just = completed()
    just.end_time = utc_now()
    await executions.insert(just)
    assert [each.id for each in await executions.unmeasured(utc_now() - timedelta(seconds=30), 10)] == [
        run.id
    ]
    await watch.tick()
    assert (await executions.get(run.id)).accuracy_measured
    assert not (await executions.get(just.id)).accuracy_measured


async def test_the_latest_runs_count(watch: AccuracyWatch) -> None:
    for number in range(RUNS + 5):
        await watch.accuracies.store(
            RunAccuracy(
                id=f"{number} m/1",
                application_execution_id=str(number),
                algorithm_name="KMeans",
                model_key="m/1",
                ended_at=STARTED + timedelta(minutes=number),
                forecasts=1,
                error=1.0 if number < 5 else 0.1,
            )
        )
    observed = (await watch.accuracies.observed(["m/1", "m/2"]))["m/1"]
    assert (observed.runs, observed.coverage) == (RUNS, None)
    assert observed.error == pytest.approx(0.1)


def ended(counted: Counted) -> dict[str, float]:
    return {target: counted("enel_ended_runs_total", target=target) for target in ("met", "missed", "none")}


async def test_targets_met_and_missed_are_counted(
    watch: AccuracyWatch, executions: ExecutionRepository, counted: Counted
) -> None:
    for runtime_seconds in (100.0, 120.0, 121.0):  # of 120
        await executions.insert(completed(runtime_seconds))
    for state in (ApplicationState.FAILED, ApplicationState.KILLED, ApplicationState.SUBMISSION_FAILED):
        run = completed()
        run.state = state
        await executions.insert(run)
    running = completed()
    running.state, running.end_time = ApplicationState.RUNNING, None
    await executions.insert(running)
    await watch.tick()
    assert ended(counted) == {"met": 2, "missed": 1, "none": 3}
    await watch.tick()
    assert ended(counted) == {"met": 2, "missed": 1, "none": 3}


async def test_errors_and_intervals_are_counted_by_what_forecast(
    watch: AccuracyWatch,
    executions: ExecutionRepository,
    registry: ModelRegistry,
    tmp_path: Path,
    counted: Counted,
) -> None:
    version = await publish(registry, FolderStore(tmp_path))
    run = await store_run(executions, version, runtime_seconds=100.0)
    curve = {"model_key": "ernest", "candidates": [Candidate(2, 50.0)]}
    for fields in ({"model_key": version.id}, curve):  # with 50 s left
        await executions.insert_decision(decision(run, 50.0, **fields))
    await watch.tick()
    assert counted("enel_forecast_error_ratio_sum", source="model") == pytest.approx((0.0 + 30 / 50) / 2)
    for source in ("model", "ernest"):
        assert counted("enel_forecast_error_ratio_count", source=source) == 1
    for result in ("held", "missed"):
        assert counted("enel_forecast_intervals_total", source="model", result=result) == 1
        assert counted("enel_forecast_intervals_total", source="ernest", result=result) == 0


async def test_watches_that_look_at_once_count_a_run_once(
    watch: AccuracyWatch, executions: ExecutionRepository, registry: ModelRegistry, tmp_path: Path
) -> None:
    version = await publish(registry, FolderStore(tmp_path))
    for _ in range(10):
        await store_run(executions, version, runtime_seconds=100.0)
    several = [Instruments() for _ in range(3)]
    watches = [
        AccuracyWatch(
            executions, registry, watch.accuracies, watch._pretraining, watch.band, instruments=instruments
        )
        for instruments in several
    ]
    await asyncio.gather(*(each.tick() for each in watches))
    counts = [Counted(instruments.registry) for instruments in several]
    assert sum(counted("enel_ended_runs_total", target="met") for counted in counts) == 10
    assert sum(counted("enel_forecast_error_ratio_count", source="model") for counted in counts) == 10
