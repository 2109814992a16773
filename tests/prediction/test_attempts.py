"""Recommendations for runs with several drivers, after the end, and after a retried stage."""

import math
from typing import Any

import torch

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.wire.events import PredictionRequest, UpdateInformation
from prediction.forecasts.forecast import ForecastRequest, forecast
from prediction.predictor import Predictor
from tests.support.finished_runs import store_history
from tests.support.samples import START_MS, application_start, execution, job_end, stage
from tests.support.synthetic import first_jobs
from tests.support.trained import train
from training.history.from_documents import to_run_record
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import pretrain


async def drivers(executions: ExecutionRepository, *starts: tuple[str, float], **global_specs: Any) -> str:
    """A run and its drivers, each with the seconds after which it started."""
    run = execution(**global_specs)
    await executions.insert(run)
    for driver, seconds in starts:
        body = application_start(run.id, driver, start_time=START_MS + int(1000 * seconds))
        await executions.apply_event(run.id, UpdateInformation.model_validate(body).event())
    return run.id


def asked(run: str, driver: str, job_id: int, end_seconds: float) -> PredictionRequest:
    body = job_end(run, job_id, driver, start_seconds=end_seconds - 3.0)
    return PredictionRequest.model_validate(body)


async def test_a_retried_driver_has_the_budget_that_the_first_one_left(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    """Of a target of 60 s, 340 s after the first start nothing is left; the model sees the attempt's 40 s."""
    await store_history(executions)
    await train(executions, registry, store)
    run = await drivers(executions, ("A", 0.0), max_runtime=60.0)
    first = await predictor.recommend(asked(run, "A", 0, 5.0))
    assert first.best_predicted_scale_out_per_job
    body = application_start(run, "B", start_time=START_MS + 300_000)
    await executions.apply_event(run, UpdateInformation.model_validate(body).event())
    await predictor.recommend(asked(run, "B", 0, 340.0))
    before, after = await executions.decisions(run)
    assert (before.application_id, before.elapsed_seconds) == ("A", 5.0)
    assert (after.application_id, after.elapsed_seconds, after.target_seconds) == ("B", 340.0, 60.0)
    assert after.meets_target is False
    assert after.rescalings == (after.chosen_scale_out != 2), "what A was asked for is not what B has"
    stored, jobs = await executions.get(run), await executions.finished_jobs(run, "B")
    assert [job.end_seconds for job in to_run_record(stored, jobs).jobs] == [40.0]


async def test_of_two_drivers_the_one_in_charge_is_decided_for(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    """A goes on although B has started; C reports a job before anybody knows of its start."""
    await store_history(executions)
    await train(executions, registry, store)
    run = await drivers(executions, ("A", 0.0), ("B", 60.0), max_runtime=90.0)
    for job_id in range(2):
        ended = 65.0 + 3.2 * job_id
        left_alone = await predictor.recommend(asked(run, "A", job_id, ended))
        assert left_alone.best_predicted_scale_out_per_job == []
        assert left_alone.reason == "another driver of this application execution is in charge: B"
        assert (await predictor.recommend(asked(run, "B", job_id, ended))).best_predicted_scale_out_per_job
    assert not (await predictor.recommend(asked(run, "C", 0, 95.0))).best_predicted_scale_out_per_job
    assert len(await executions.finished_jobs(run, "A")) == 2
    assert {each.application_id for each in await executions.decisions(run)} == {"B"}


async def test_after_the_end_nothing_is_decided(
    predictor: Predictor, executions: ExecutionRepository, registry: ModelRegistry, store: FolderStore
) -> None:
    await store_history(executions)
    await train(executions, registry, store)
    run = await drivers(executions, ("A", 0.0))
    await executions.record_state(run, ApplicationState.KILLED)
    answer = await predictor.recommend(asked(run, "A", 0, 40.0))
    assert not answer.best_predicted_scale_out_per_job
    assert answer.reason.startswith("the application execution has ended (KILLED)")
    assert len(await executions.finished_jobs(run)) == 1
    assert (await executions.get(run)).state is ApplicationState.KILLED
    assert await executions.decisions(run) == []


async def interval_width(executions: ExecutionRepository, algorithm_name: str) -> float:
    """Of the remaining runtime after the second job at four executors: upper by lower end, in log."""
    found = await executions.finished_runs("spark", algorithm_name, 9)
    history = [to_run_record(earlier, jobs) for earlier, jobs in found]
    torch.set_num_threads(1)
    files = pretrain(history, Hyperparameters(), max_epochs=20, seed=0).to_files()
    [run] = [each for each in history if each.jobs[0].start_scale_out == 4]
    made = forecast(ForecastRequest(files, algorithm_name, first_jobs(run, 2), 1, 4, (4,), fine_tune=False))
    [candidate] = made.choices(60.0)
    expected = candidate.within(60.0)
    assert expected.lower_seconds
    assert expected.upper_seconds
    return math.log(expected.upper_seconds / expected.lower_seconds)


async def test_a_retried_stage_in_one_of_four_runs_widens_intervals_by_little(
    executions: ExecutionRepository,
) -> None:
    """Its second attempt only made up for one of twelve tasks."""
    for algorithm_name in ("Steady", "Retried"):
        await store_history(executions, algorithm_name)
    (run, jobs), *_ = await executions.finished_runs("spark", "Retried", 9)
    stage_id = str(3 * jobs[3].job_id)
    first = jobs[3].stages[stage_id]
    assert first is not None
    assert first.end_time is not None
    ended_ms = int(1000 * first.end_time.timestamp())
    again = stage(int(stage_id), ended_ms, ended_ms + 50, attempt_id=1, num_tasks=1)
    body = job_end(
        run.id, 3, stages={stage_id: again}, start_time=None, end_time=jobs[3].end_time.isoformat()
    )
    await executions.apply_event(run.id, UpdateInformation.model_validate(body).event())
    (_, jobs), *_ = await executions.finished_runs("spark", "Retried", 9)
    retried = jobs[3].stages[stage_id]
    assert retried is not None
    assert (retried.num_attempts, retried.num_tasks) == (2, 12)
    steady = await interval_width(executions, "Steady")
    assert await interval_width(executions, "Retried") <= 1.2 * steady
