"""One odd run of four costs little, and an odd run in progress is steered like any other."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from common.executions.candidate import Candidate
from common.settings.prediction import PredictionSettings
from prediction.first_choice import choose_first
from prediction.forecasts.by_curve import CurveRequest, forecast_with_curve
from prediction.forecasts.forecast import Forecast, ForecastRequest, forecast_with
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import WholeRunForecast, forecast_whole_run
from prediction.policies.policy import Situation
from prediction.policies.registry import Policies
from tests.support.odd_histories import (
    ALIKE,
    CANDIDATES,
    CONTEXT,
    ODDNESSES,
    REGULAR,
    THREAD_POOL,
    Kind,
    Oddness,
    another_broadcast,
    another_broadcast_order,
    failed_job,
    fewer_jobs,
    job_in_two,
    make_odd_history,
    make_odd_run,
    more_jobs,
    retried_stage,
    two_cancelled_jobs,
)
from training.evidence.learned import learn_from
from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain

POLICY = Policies(PredictionSettings()).get("enel")

SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2)))
"""More of them say the same with other numbers, and with the odd run at another place."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(history: Sequence[RunRecord]) -> TrainedModel:
    return pretrain(history, Hyperparameters(), max_epochs=10)


@cache
def regular_model(seed: int, regular: Sequence[Kind] = REGULAR) -> TrainedModel:
    return trained(make_odd_history(seed, None, regular=regular))


def after(model: TrainedModel, run: RunRecord, jobs: int) -> Forecast:
    """What is forecast after so many jobs of a run."""
    known = RunRecord(run.run_id, run.context, run.started_at, run.jobs[:jobs])
    last, scale_out = (run.jobs[jobs - 1].job_id if jobs else -1), run.jobs[0].end_scale_out
    return forecast_with(model, ForecastRequest({}, "", known, last, scale_out, CANDIDATES, jobs > 0))


def chosen(found: Forecast, run: RunRecord, jobs: int, target_seconds: float) -> int:
    """The scale-out that the service's own policy chooses after so many jobs."""
    budget, now = target_seconds - run.jobs[jobs - 1].end_seconds, run.jobs[0].end_scale_out
    situation = Situation(
        found.choices(budget), budget, now, now, after_next_job_seconds=found.after_next_job_seconds
    )
    return POLICY.next(situation).scale_out


def widths(choices: Sequence[Candidate]) -> np.ndarray:
    return np.array([each.log_std + each.early_log_std for each in choices])


def assert_alike(found: Forecast | WholeRunForecast, usual: Forecast | WholeRunForecast) -> None:
    """The median within 5%, and the interval at most 1.5 times as wide."""
    new, old = found.choices(1e3), usual.choices(1e3)
    seconds = [np.array([each.remaining_seconds for each in choices]) for choices in (new, old)]
    assert np.abs(seconds[0] / seconds[1] - 1.0).max() < 0.05
    assert (widths(new) / widths(old)).max() < 1.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("oddness", ODDNESSES)
def test_one_odd_run_of_four_costs_little(oddness: Oddness, seed: int) -> None:
    history, usual_history = make_odd_history(seed, oddness, at=1 + seed), make_odd_history(seed, None)
    model, usual = trained(history), regular_model(seed)
    run = make_odd_run(50, 2, seed)
    assert run.runtime_seconds is not None
    for jobs in (0, 1, 4, 8):
        found = after(model, run, jobs)
        assert_alike(found, after(usual, run, jobs))
        assert not jobs or chosen(found, run, jobs, 1.2 * run.runtime_seconds) == 2
    before = forecast_whole_run(history, None, CONTEXT, CANDIDATES)
    usual_before = forecast_whole_run(usual_history, None, CONTEXT, CANDIDATES)
    assert_alike(before, usual_before)
    target = 1.05 * usual_before.choices(1.0)[2].needed_seconds(0.97)
    choices = [choose_first(POLICY, each, target).scale_out for each in (before, usual_before)]
    assert choices[0] == choices[1]
    for method in (Method.ERNEST, Method.BELL, Method.ERNEST_PER_JOB):
        curves = [
            forecast_with_curve(CurveRequest(method, tuple(runs), CONTEXT, -1, CANDIDATES))
            for runs in (history, usual_history)
        ]
        assert_alike(*curves)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("oddness", [*ODDNESSES, job_in_two])
def test_wherever_the_odd_run_is(oddness: Oddness, at: int) -> None:
    """The first one as the newest."""
    found, usual = (
        forecast_whole_run(make_odd_history(0, each, at=at), None, CONTEXT, CANDIDATES)
        for each in (oddness, None)
    )
    assert_alike(found, usual)


@pytest.mark.parametrize(
    "oddnesses",
    [
        (failed_job, fewer_jobs),
        (failed_job, failed_job),
        (more_jobs, retried_stage),
        (job_in_two, fewer_jobs),
    ],
)
def test_two_odd_runs_of_five_each_in_its_own_way(oddnesses: tuple[Oddness, Oddness]) -> None:
    scale_outs = (2, 4, 3, 6, 5)
    usual = make_odd_history(0, None, scale_outs=scale_outs)
    history = list(usual)
    for at, oddness in zip((1, 3), oddnesses, strict=True):
        history[at] = make_odd_run(at, scale_outs[at], 0, oddness)
    _, odd = learn_from(history)
    assert [each.run_id for each in odd] == ["run-1", "run-3"]
    assert_alike(*(forecast_whole_run(runs, None, CONTEXT, CANDIDATES) for runs in (history, usual)))


def test_what_befell_two_runs_of_five_alike_is_the_applications_way() -> None:
    scale_outs = (2, 4, 3, 6, 5)
    history = [
        make_odd_run(number, each, 0, fewer_jobs if number in (1, 3) else None)
        for number, each in enumerate(scale_outs)
    ]
    assert learn_from(history)[1] == ()


@pytest.mark.parametrize("oddness", [failed_job, two_cancelled_jobs, fewer_jobs, more_jobs, retried_stage])
def test_a_version_says_which_run_it_told_apart(oddness: Oddness) -> None:
    history = make_odd_history(0, oddness)
    [odd] = trained(history).validation["odd_runs"]
    assert odd["run_id"] == "run-2"
    assert odd["reason"]
    assert odd["reason"] in forecast_whole_run(history, None, CONTEXT, CANDIDATES).description


def test_runs_that_all_differ_are_the_applications_way() -> None:
    history = [
        make_odd_run(number, 2 + number % 3, 0, fewer_jobs if number % 2 else None) for number in range(6)
    ]
    model = trained(history)
    assert model.validation["odd_runs"] == []
    assert (
        widths(after(model, make_odd_run(50, 2), 0).choices(1e3)).min()
        > 1.5 * widths(after(regular_model(0), make_odd_run(50, 2), 0).choices(1e3)).min()
    )


@pytest.mark.parametrize("regular", [REGULAR, ALIKE], ids=["distinct", "alike"])
@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("oddness", [oddness for oddness in ODDNESSES if oddness is not fewer_jobs])
def test_an_odd_run_that_meets_its_target_is_left_alone(
    oddness: Oddness, seed: int, regular: Sequence[Kind]
) -> None:
    run = make_odd_run(60, 2, seed, oddness, regular)
    assert run.runtime_seconds is not None
    for jobs in range(1, len(run.jobs)):
        found = after(regular_model(seed, regular), run, jobs)
        if found.job_ids:
            # What is lost to a stage that is tried again, nobody knows before: fewer may do until then.
            assert chosen(found, run, jobs, 1.25 * run.runtime_seconds) <= 2, (jobs, found.note)
            assert found.job_ids[0] > run.jobs[jobs - 1].job_id


def test_a_failed_job_is_said_and_shifts_what_follows() -> None:
    run = make_odd_run(60, 2)
    failure = replace(run.jobs[5], failed=True, runtime_seconds=1.0)
    later = [
        replace(job, job_id=job.job_id + 1, start_seconds=job.start_seconds + 1.1) for job in run.jobs[5:]
    ]
    odd = replace(run, jobs=(*run.jobs[:5], failure, *later))
    found, usual = after(regular_model(0), odd, 7), after(regular_model(0), run, 6)
    assert found.remaining_seconds == usual.remaining_seconds
    assert found.job_ids == tuple(job_id + 1 for job_id in usual.job_ids)
    assert found.note == "job 5 failed and counts for nothing"
    assert usual.note == ""


@pytest.mark.parametrize("lost", [(5, 6), (1, 4, 5, 6, 7), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_jobs_that_nobody_reported_are_not_still_to_come(lost: Sequence[int]) -> None:
    run = make_odd_run(60, 2)
    reported = replace(run, jobs=tuple(job for job in run.jobs[:9] if job.job_id not in lost))
    found, usual = after(regular_model(0), reported, len(reported.jobs)), after(regular_model(0), run, 9)
    assert found.job_ids == usual.job_ids == (9, 10, 11)
    assert "not reported" in found.note
    seconds = [each.remaining_seconds[1][0] for each in (found, usual)]
    assert seconds[0] == pytest.approx(seconds[1], rel=0.05)
    assert widths(found.choices(1e3)).min() > widths(usual.choices(1e3)).min()
    assert run.runtime_seconds is not None
    assert chosen(found, reported, len(reported.jobs), 1.5 * run.runtime_seconds) <= 2
    for method in (Method.ERNEST, Method.BELL, Method.ERNEST_PER_JOB):
        curves = [
            forecast_with_curve(
                CurveRequest(method, tuple(make_odd_history(0, None)), CONTEXT, 8, CANDIDATES, jobs)
            )
            for jobs in (reported.jobs, run.jobs[:9])
        ]
        assert curves[0].remaining_seconds == curves[1].remaining_seconds


def test_jobs_that_did_not_come_are_said_and_make_less_sure() -> None:
    run = make_odd_run(60, 2, 0, fewer_jobs)
    found = after(regular_model(0), run, 9)
    assert found.note == "2 jobs of earlier runs did not come"
    usual = after(regular_model(0), make_odd_run(60, 2), 11)
    assert widths(found.choices(1e3)).min() > 1.5 * widths(usual.choices(1e3)).min()


def test_no_scale_in_from_work_that_is_like_none_before() -> None:
    run = make_odd_run(60, 6)
    assert run.runtime_seconds is not None
    strange = renamed(renamed(run, THREAD_POOL, "other at b.py:1"), "app.py", "other.py")
    for jobs in (1, 4, 8):
        found = after(regular_model(0), strange, jobs)
        assert "like none of earlier runs" in found.note
        target = run.jobs[jobs - 1].end_seconds + 1.2 * found.remaining_seconds[3][0]
        assert chosen(found, run, jobs, target) >= 6


@pytest.mark.parametrize("seed", SEEDS)
def test_threads_that_number_their_jobs_in_any_order(seed: int) -> None:
    oddnesses = (another_broadcast_order, another_broadcast_order, another_broadcast_order, another_broadcast)
    history = [
        make_odd_run(number, (2, 4, 3, 6)[number // 2], seed, oddnesses[number % 4], ALIKE)
        for number in range(8)
    ]
    model = trained(history)
    for number in range(3):
        run = make_odd_run(60 + number, 4, seed, another_broadcast_order, ALIKE)
        assert run.runtime_seconds is not None
        for jobs in range(1, 9):
            assert chosen(after(model, run, jobs), run, jobs, 1.02 * run.runtime_seconds) >= 4


def renamed(run: RunRecord, before: str, now: str) -> RunRecord:
    jobs = tuple(
        replace(
            job,
            stages=tuple(replace(stage, name=stage.name.replace(before, now)) for stage in job.stages),
        )
        for job in run.jobs
    )
    return replace(run, jobs=jobs)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (THREAD_POOL, "$anonfun$withThreadLocalCaptured$4 at CompletableFuture.java:1804"),
        ("app.py:1", "app.py:21"),
        ("/tmp/spark-", "/var/spark/tmp/spark-"),
    ],
    ids=["another version", "lines above", "another folder"],
)
def test_a_run_is_recognised_whatever_its_stages_are_called_now(before: str, now: str) -> None:
    run = make_odd_run(60, 3)
    other = renamed(run, before, now)
    assert other != run
    for jobs in (2, 6):
        found, usual = (after(regular_model(0), each, jobs) for each in (other, run))
        assert found.remaining_seconds == usual.remaining_seconds


def test_a_retried_stage_does_not_make_a_run_slow() -> None:
    run = make_odd_run(60, 2, 1, retried_stage)
    [at] = [job.job_id for job in run.jobs if job.retried]
    found, usual = (
        after(regular_model(1), run, at + 1),
        after(regular_model(1), make_odd_run(60, 2, 1), at + 1),
    )
    assert found.remaining_seconds[1][0] == pytest.approx(usual.remaining_seconds[1][0], rel=0.05)


def test_a_context_in_which_half_of_the_runs_have_a_job_more_is_left_as_it_is() -> None:
    """Its runs are few among those of other contexts, and none of them is odd."""
    regular = (Kind((("map at a.py:1", 8),), 60.0), Kind((("collect at a.py:2", 4),), 30.0))
    tune = Kind((("tune at a.py:3", 2),), 40.0, fixed_seconds=40.0)
    others = [
        replace(
            run, context=replace(run.context, algorithm_args=(str(number),)), run_id=f"other-{number}-{row}"
        )
        for number in range(10)
        for row, run in enumerate(make_odd_history(number, None, regular=regular))
    ]
    with_it = make_odd_history(50, None, regular=(regular[0], tune, regular[1]))[:2]
    without = make_odd_history(51, None, regular=regular)[:2]
    mine = [replace(run, run_id=f"mine-{i}") for i, run in enumerate([*with_it, *without])]
    evidence, odd = learn_from([*others, *mine])
    assert odd == ()
    measured = {run.runtime_seconds for run in mine}
    assert measured <= set(evidence.total.tolist())
