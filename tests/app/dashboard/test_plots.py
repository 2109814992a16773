"""What the plots show, as columns of numbers."""

from datetime import timedelta

import pytest

from app.dashboard.plots import run_plot, training_plot
from app.dashboard.progress import progress_of
from common.executions.candidate import Candidate
from common.executions.documents import ApplicationState, JobSummary, ScalingDecision
from common.mongo.document import utc_now
from submission.outcomes.outcomes import RunTimeline
from submission.outcomes.picture import draw_run
from tests.support.samples import execution
from training.runs.documents import TrainingRun, TrialOutcome

STARTED = utc_now()


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def decision(job_id: int, elapsed_seconds: float, chosen: int) -> ScalingDecision:
    return ScalingDecision(
        id=str(job_id),
        application_execution_id="one",
        job_id=job_id,
        decided_at=STARTED + after(elapsed_seconds),
        elapsed_seconds=elapsed_seconds,
        current_scale_out=2,
        target_seconds=60.0,
        candidates=[Candidate(2, 40.0, 0.1), Candidate(4, 20.0, 0.1)],
        chosen_scale_out=chosen,
        reason="because",
    )


def test_a_run_that_completed() -> None:
    run = execution("one", max_runtime=60.0)
    run.start_time, run.end_time, run.state = STARTED, STARTED + after(50), ApplicationState.COMPLETED
    jobs = [
        JobSummary(
            job_id=1,
            start_time=STARTED + after(12),
            end_time=STARTED + after(48),
            start_scale_out=4,
            end_scale_out=4,
        ),
        JobSummary(
            job_id=0,
            start_time=STARTED + after(2),
            end_time=STARTED + after(10),
            start_scale_out=2,
            end_scale_out=2,
        ),
    ]
    plot = run_plot(RunTimeline(run, jobs), jobs, [decision(-1, 0.0, 2), decision(0, 10.0, 4)])
    assert plot["executors"] == [[2.0, 10.0, 12.0, 48.0, 50.0], [2, 2, 4, 4, 4]]
    assert plot["jobs"] == [[10.0, 48.0], [0, 1]]
    at, predicted, lower, upper, real = plot["remaining"]
    assert (at, predicted, real) == ([0.0, 10.0], [40.0, 20.0], [50.0, 40.0])
    assert lower[1] < 20.0 < upper[1]


def job(job_id: int, start: float, end: float, scale_out: int) -> JobSummary:
    return JobSummary(
        job_id=job_id,
        start_time=STARTED + after(start),
        end_time=STARTED + after(end),
        start_scale_out=scale_out,
        end_scale_out=scale_out,
    )


def test_every_driver_of_a_run_has_its_line() -> None:
    run = execution("one", max_runtime=60.0)
    run.start_time, run.first_start_time = STARTED + after(30), STARTED
    jobs, earlier = [job(0, 32, 40, 4)], {"A": [job(0, 2, 10, 2), job(1, 12, 20, 2)]}
    plot = run_plot(RunTimeline(run, jobs), jobs, [], earlier)
    assert (plot["executors"], plot["jobs"]) == ([[32.0, 40.0], [4, 4]], [[40.0], [0]])
    assert plot["others"] == [
        {
            "application_id": "A",
            "executors": [[2.0, 10.0, 12.0, 20.0], [2, 2, 2, 2]],
            "jobs": [[10.0, 20.0], [0, 1]],
        }
    ]
    drawn = draw_run(RunTimeline(run, jobs), [], [RunTimeline(run, earlier["A"])])
    assert drawn.count("another driver&#x27;s") == 1
    assert "another driver" not in draw_run(RunTimeline(run, jobs), [])


def test_a_run_without_reports_draws_nothing() -> None:
    run = execution("one")
    plot = run_plot(RunTimeline(run, []), [], [])
    assert (plot["executors"], plot["remaining"]) == ([[], []], [[], [], [], [], []])
    assert plot["runtime_seconds"] is None


def test_the_best_trial_so_far_and_a_line_for_each() -> None:
    run = TrainingRun(
        id="one",
        system_name="spark",
        algorithm_name="KMeans",
        model_name="onlinepredictor",
        experiment_name="tests",
        trials_total=4,
        trials=[
            TrialOutcome(state="TERMINATED", loss=0.3, curve=[(10, 0.5), (20, 0.3)]),
            TrialOutcome(state="ERROR"),
            TrialOutcome(state="PRUNED", loss=0.4, curve=[(10, 0.4)]),
            TrialOutcome(state="TERMINATED", loss=0.1, curve=[(10, 0.2), (30, 0.1)]),
        ],
    )
    plot = training_plot(run)
    assert plot["trials"] == [[1, 2, 3, 4], [0.3, None, 0.4, 0.1], [0.3, 0.3, 0.3, 0.1]]
    assert plot["curves"] == [
        [10, 20, 30],
        [0.5, 0.3, None],
        [None, None, None],
        [0.4, None, None],
        [0.2, None, 0.1],
    ]


def test_a_run_is_projected_from_its_latest_decision() -> None:
    run = execution("one", max_runtime=25.0)
    run.start_time, run.state, run.end_scale_out = STARTED, ApplicationState.RUNNING, 2
    progress = progress_of(run, decision(0, 10.0, 4), STARTED + after(15))
    assert progress.projected_seconds == 30.0
    assert progress.is_late
    assert progress.projected_end == STARTED + after(30)
    assert progress.lower_seconds is not None
    assert progress.upper_seconds is not None
    assert 10.0 < progress.lower_seconds < 30.0 < progress.upper_seconds
    assert progress.scale_out == 2
    assert progress_of(run, None, STARTED + after(15)).projected_seconds is None


@pytest.mark.parametrize(
    ("elapsed", "projected", "is_overdue", "is_late", "has_chance"),
    [
        (29.0, 30.0, False, False, True),
        (31.0, 31.0, True, False, False),  # longer than expected, and not yet too long
        (600.0, 600.0, True, True, False),
    ],
)
def test_a_run_takes_at_least_what_it_has_taken(
    elapsed: float, projected: float, is_overdue: bool, is_late: bool, has_chance: bool
) -> None:
    run = execution("one", max_runtime=60.0)
    run.start_time, run.state = STARTED, ApplicationState.RUNNING
    progress = progress_of(run, decision(0, 10.0, 4), STARTED + after(elapsed))
    assert progress.projected_seconds == projected
    assert (progress.is_overdue, progress.is_late) == (is_overdue, is_late)
    assert (progress.probability is not None) == has_chance
    assert (progress.projected_end is None) == is_overdue


def test_a_target_that_has_passed_is_missed_whatever_was_expected() -> None:
    run = execution("one", max_runtime=20.0)
    run.start_time, run.state = STARTED, ApplicationState.RUNNING
    expected = progress_of(run, decision(0, 10.0, 4), STARTED + after(25))
    assert (expected.projected_seconds, expected.is_late, expected.probability) == (30.0, True, None)
    unknown = progress_of(run, None, STARTED + after(25))
    assert (unknown.projected_seconds, unknown.is_overdue, unknown.is_late) == (25.0, True, True)


def test_a_shadow_is_held_to_the_executors_that_the_run_has() -> None:
    run = execution("one", max_runtime=60.0)
    run.start_time, run.state, run.shadow = STARTED, ApplicationState.RUNNING, True
    shadow = decision(0, 10.0, 4).model_copy(update={"shadow": True})
    assert progress_of(run, shadow, STARTED + after(11)).projected_seconds == 10.0 + 40.0
    run.end_time, run.state = STARTED + after(55), ApplicationState.COMPLETED
    jobs = [job(0, 2, 10, 2), job(1, 12, 50, 2)]
    _, predicted, _, _, real = run_plot(RunTimeline(run, jobs), jobs, [shadow])["remaining"]
    assert (predicted, real) == ([40.0], [45.0])


def test_a_choice_that_was_not_carried_out_is_held_to_the_executors_that_the_run_kept() -> None:
    run = execution("one", max_runtime=60.0)
    run.start_time, run.end_time, run.state = STARTED, STARTED + after(50), ApplicationState.COMPLETED
    jobs = [job(0, 2, 10, 2), job(1, 12, 48, 2)]
    plot = run_plot(RunTimeline(run, jobs), jobs, [decision(0, 10.0, 4)])
    assert plot["remaining"][1] == [40.0]


@pytest.mark.parametrize(("runtime", "met"), [(20.0, True), (25.0, True), (30.0, False)])
def test_a_run_that_has_ended_is_told_as_it_was(runtime: float, met: bool) -> None:
    run = execution("one", max_runtime=25.0)
    run.start_time, run.end_time, run.state = STARTED, STARTED + after(runtime), ApplicationState.COMPLETED
    progress = progress_of(run, decision(0, 10.0, 4), STARTED + after(99))
    assert (progress.met, progress.runtime_seconds, progress.projected_seconds) == (met, runtime, None)
    run.state = ApplicationState.FAILED
    assert progress_of(run, None, STARTED + after(99)).met is None
