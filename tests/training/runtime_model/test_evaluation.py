from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prediction.forecasts.forecast import ForecastRequest, forecast_with
from tests.support.synthetic import CONTEXT, first_jobs, make_history, make_run
from training.evidence.table import EmptyHistory
from training.history.values import JobRecord, RunRecord, StageMetrics
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.evaluation import (
    ERROR_LIMIT,
    RunError,
    RunErrors,
    choose_cuts,
    remaining_errors,
    scale_outs,
)
from training.runtime_model.loop import pretrain

SMALL = Hyperparameters(hidden_dim=16)
JOBS = 12
EVERY = 100
"""More cuts than a run has jobs: all of them."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return pretrain(make_history(), SMALL, max_epochs=10)


@pytest.fixture(scope="module")
def unseen() -> list[RunRecord]:
    return [make_run(40, 3), make_run(41, 5)]


def predicted(errors: RunErrors) -> dict[int, float]:
    """By last finished job."""
    [run] = errors.runs
    return dict(zip(run.after_job_ids, run.predicted_seconds, strict=True))


def test_a_model_of_the_right_law_is_nearly_right(model: TrainedModel, unseen: list[RunRecord]) -> None:
    errors = remaining_errors(model, unseen)
    assert [run.run_id for run in errors.runs] == [run.run_id for run in unseen]
    assert [run.after_job_ids for run in errors.runs] == [(-1, 1, 3, 5, 7, 10)] * 2
    assert errors.cuts == 12
    assert 0 < errors.median < 0.1
    assert 0 < errors.error < 0.1
    assert abs(errors.bias) < 0.1
    assert errors.error == pytest.approx(np.mean([run.error for run in errors.runs]))


def test_what_is_measured_has_the_drivers_time_and_the_tail(model: TrainedModel) -> None:
    run = make_run(40, 3)
    [error] = remaining_errors(model, [run], cuts_per_run=EVERY).runs
    ends = [0.0, *(job.end_seconds for job in run.jobs[:-1])]
    assert run.runtime_seconds is not None
    assert error.measured_seconds == pytest.approx([run.runtime_seconds - end for end in ends])
    assert error.after_job_ids == tuple(range(-1, JOBS - 1))


def test_predictions_are_those_of_serving(model: TrainedModel) -> None:
    run = make_run(42, 4, factor=1.4)
    for after, seconds in predicted(remaining_errors(model, [run])).items():
        known = first_jobs(run, after + 1)
        served = forecast_with(model, ForecastRequest({}, "", known, after, 4, (4,)))
        assert seconds == pytest.approx(served.remaining_seconds[0][0], rel=1e-5)


def slower(job: JobRecord) -> JobRecord:
    stages = tuple(replace(stage, runtime_seconds=7 * stage.runtime_seconds) for stage in job.stages)
    return replace(job, start_seconds=job.start_seconds + 50, runtime_seconds=99.0, stages=stages)


def measured_otherwise(job: JobRecord) -> JobRecord:
    metrics = StageMetrics(9.0, 9.0, 9.0, 9.0, 9.0)
    return replace(job, stages=tuple(replace(stage, metrics=metrics) for stage in job.stages))


LATER: dict[str, Callable[[Sequence[JobRecord]], Sequence[JobRecord]]] = {
    "slower": lambda jobs: [slower(job) for job in jobs],
    "metrics": lambda jobs: [measured_otherwise(job) for job in jobs],
    "no stages": lambda jobs: [replace(job, stages=()) for job in jobs],
    "other stages": lambda jobs: [
        replace(job, stages=tuple(replace(stage, name="x", num_tasks=1) for stage in job.stages))
        for job in jobs
    ],
    "only one": lambda jobs: jobs[:1],
    "gaps": lambda jobs: jobs[1::2],
    "unknown ones": lambda jobs: [replace(job, job_id=job.job_id + 100) for job in jobs],
}


@pytest.mark.parametrize("change", LATER)
def test_nothing_after_a_moment_is_known_at_it(model: TrainedModel, change: str) -> None:
    cut = 5
    run = make_run(43, 3, factor=1.2)
    changed = replace(
        run, jobs=(*run.jobs[:cut], *LATER[change](run.jobs[cut:])), runtime_seconds=run.jobs[-1].end_seconds
    )
    before = predicted(remaining_errors(model, [run], cuts_per_run=EVERY))
    after = predicted(remaining_errors(model, [changed], cuts_per_run=EVERY))
    same = [job_id for job_id in before if job_id < cut]
    assert len(same) == cut + 1
    assert [after[job_id] for job_id in same] == [before[job_id] for job_id in same]
    if change == "slower":
        assert after[cut + 3] > 1.2 * before[cut + 3]


def test_a_better_model_has_the_lower_error(model: TrainedModel, unseen: list[RunRecord]) -> None:
    poisoned = pretrain(make_history(factor=5.0), SMALL, max_epochs=10)
    good, bad = remaining_errors(model, unseen), remaining_errors(poisoned, unseen)
    assert bad.error > 2 * good.error
    assert bad.runs[0].error > good.runs[0].error
    assert bad.bias > 0.1
    assert [run.measured_seconds for run in bad.runs] == [run.measured_seconds for run in good.runs]
    assert [run.after_job_ids for run in bad.runs] == [run.after_job_ids for run in good.runs]


def test_time_in_jobs_that_the_model_does_not_know_is_missed(model: TrainedModel) -> None:
    run, longer = make_run(44, 4), make_run(44, 4, jobs=JOBS + 6)
    usual = remaining_errors(model, [run], cuts_per_run=EVERY)
    errors = remaining_errors(model, [longer], cuts_per_run=EVERY)
    assert errors.error > usual.error + 0.2
    assert errors.bias < -0.2
    of_longer = predicted(errors)
    assert {job_id: of_longer[job_id] for job_id in predicted(usual)} == predicted(usual)
    beyond = [of_longer[job_id] for job_id in range(JOBS - 1, JOBS + 5)]
    assert beyond == [model.prior.timing.tail] * 6  # the history lets expect no further job


def test_jobs_that_are_expected_and_do_not_come_count_too(model: TrainedModel) -> None:
    errors = remaining_errors(model, [make_run(45, 4, jobs=4)])
    assert errors.bias > 0.3


def test_the_scale_outs_of_the_run_are_used(model: TrainedModel) -> None:
    steady = make_run(46, 2)
    rescaled = replace(
        steady,
        jobs=(
            *steady.jobs[:4],
            replace(steady.jobs[4], end_scale_out=6),
            *(replace(job, start_scale_out=6, end_scale_out=6) for job in steady.jobs[5:]),
        ),
    )
    before = predicted(remaining_errors(model, [steady], cuts_per_run=EVERY))
    after = predicted(remaining_errors(model, [rescaled], cuts_per_run=EVERY))
    assert all(after[job_id] < 0.9 * before[job_id] for job_id in range(-1, 3))


def test_jobs_that_did_not_run_have_the_scale_out_of_the_ones_before() -> None:
    jobs = (JobRecord(2, 0.0, 1.0, 2, 3, 0.1), JobRecord(5, 1.0, 1.0, 4, 0, 0.1))
    start, end = scale_outs(RunRecord("run", CONTEXT, 0.0, jobs), np.array([2, 5]), 7)
    assert start.tolist() == [2, 2, 2, 3, 3, 4, 1]
    assert end.tolist() == [2, 2, 3, 3, 3, 1, 1]


def test_a_run_whose_end_is_not_known_ends_with_its_last_job(model: TrainedModel) -> None:
    run = make_run(47, 4)
    [known] = remaining_errors(model, [run]).runs
    [unknown] = remaining_errors(model, [replace(run, runtime_seconds=None)]).runs
    assert run.runtime_seconds is not None
    tail = run.runtime_seconds - run.jobs[-1].end_seconds
    assert np.subtract(known.measured_seconds, unknown.measured_seconds) == pytest.approx(tail)
    difference = np.subtract(known.predicted_seconds, unknown.predicted_seconds)
    assert difference == pytest.approx(model.prior.timing.tail)


def test_runs_with_few_jobs(model: TrainedModel) -> None:
    empty = RunRecord("empty", CONTEXT, 0.0, (), 60.0)
    errors = remaining_errors(model, [empty, first_jobs(make_run(48, 4), 1), make_run(49, 4, jobs=2)])
    assert errors.skipped == ("empty",)
    assert [run.after_job_ids for run in errors.runs] == [(-1,), (-1, 0)]
    assert errors.cuts == 3
    with pytest.raises(EmptyHistory):
        remaining_errors(model, [empty])
    with pytest.raises(EmptyHistory):
        remaining_errors(model, [])


def test_contexts_that_the_history_does_not_have_are_judged(model: TrainedModel) -> None:
    larger = replace(CONTEXT, data_size_mb=2 * CONTEXT.data_size_mb, algorithm_args=("--other",))
    assert 0 <= remaining_errors(model, [make_run(50, 4, context=larger, factor=2)]).error < ERROR_LIMIT


def test_the_order_of_jobs_in_the_record_does_not_matter(model: TrainedModel) -> None:
    run = make_run(51, 4)
    backwards = replace(run, jobs=run.jobs[::-1])
    assert remaining_errors(model, [backwards]).runs == remaining_errors(model, [run]).runs


def test_measuring_is_deterministic_and_leaves_everything_as_it_was(
    model: TrainedModel, unseen: list[RunRecord]
) -> None:
    files = model.to_files()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert remaining_errors(model, unseen) == remaining_errors(model, unseen)
    assert torch.equal(torch.rand(3), expected)
    assert model.to_files() == files
    copy = TrainedModel.from_files(files)
    assert remaining_errors(copy, unseen) == remaining_errors(model, unseen)


def test_one_degenerate_moment_does_not_decide() -> None:
    inf = float("inf")
    run = RunError("run", (-1, 0, 1, 2), (inf, 1e9, 0.0, 10.0), (5.0, 0.02, 5.0, 10.0))
    assert run.relative_errors.tolist() == [ERROR_LIMIT, ERROR_LIMIT, 1.0, 0.0]
    assert run.log_errors.tolist() == pytest.approx([np.log(4), np.log(4), -np.log(4), 0.0])
    errors = RunErrors((run, RunError("good", (-1, 0), (1.0, 1.0), (1.0, 1.0))))
    assert errors.error == pytest.approx(7 / 6)
    assert errors.median == 0.5


@given(st.integers(1, 3000), st.integers(1, 12), st.floats(0, 1))
def test_moments_are_spread_over_the_run(jobs: int, most: int, overlap: float) -> None:
    step = 2.0 - overlap
    records = tuple(JobRecord(i, i * step, 2.0, 2, 2, 0.0) for i in range(jobs))
    finished, left = choose_cuts(RunRecord("run", CONTEXT, 0.0, records), most)
    assert len(finished) == len(left) == min(most, jobs)
    assert finished[0] == 0
    assert (np.diff(finished) > 0).all()
    assert finished[-1] == (jobs - 1 if most > 1 else 0)
    assert (left > 0).all()
    assert (np.diff(left) < 0).all()
    assert np.ptp(np.diff(finished)) <= 1 if len(finished) > 1 else most == 1 or jobs == 1


def test_nothing_is_left_once_a_longer_job_beside_the_others_has_ended(model: TrainedModel) -> None:
    jobs = (JobRecord(0, 0.0, 30.0, 4, 4, 0.0), *(JobRecord(i, i, 0.5, 4, 4, 0.0) for i in range(1, 9)))
    run = RunRecord("beside", CONTEXT, 0.0, jobs, 30.0)
    [error] = remaining_errors(model, [run]).runs
    assert error.after_job_ids == (-1,)
    assert error.measured_seconds == (30.0,)
