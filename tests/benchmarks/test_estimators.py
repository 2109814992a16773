"""Estimators of recorded runs, where runs differ in how many jobs they have."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.estimators import CurvePerJob, Estimator, Model, SimilarMedian
from benchmarks.simulator import calibrate_application
from prediction.forecasts.curves import fit_ernest
from training.history.values import JobRecord, RunContext, RunRecord


def run(number: int, jobs: int, scale_out: int) -> RunRecord:
    """Each job takes 80 s over its executors, with a second before it."""
    clock, known = 0.0, []
    for job in range(jobs):
        seconds = 80.0 / scale_out
        known.append(JobRecord(job, clock + 1.0, seconds, scale_out, scale_out, 0.0))
        clock += 1.0 + seconds
    return RunRecord(str(number), RunContext("Sums"), float(number), tuple(known), clock)


LENGTHS = (5, 4, 6, 5, 7, 5, 4, 6, 5, 5, 6, 4)
HISTORY = [run(n, jobs, 4 + 2 * (n % 4)) for n, jobs in enumerate(LENGTHS)]
MAKE = {
    "curves": lambda: CurvePerJob(fit_ernest),
    "similar": SimilarMedian,
    "ours": lambda: Model(0, max_epochs=1),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_run_may_have_more_jobs_than_usual_or_fewer(make: Callable[[], Estimator]) -> None:
    estimator = make()
    estimator.fit(HISTORY)
    left = [estimator.remaining(run(99, 9, 8), finished).seconds for finished in range(10)]
    # Five jobs are usual, of 11 s each; half of the runs had more.
    for finished in range(4):
        assert 11.0 * (5 - finished) * 0.7 < left[finished] < 11.0 * (7 - finished)
    assert all(0.0 <= seconds <= left[4] for seconds in left[5:])
    assert 22.0 < estimator.remaining(run(99, 2, 8), 2).seconds < 55.0


def test_an_application_is_learned_from_runs_of_different_lengths() -> None:
    runs = [run(n, 5 + n % 3, 4 + 4 * (n % 8)) for n in range(11, 31)]
    application = calibrate_application(runs)
    alike = calibrate_application([run(int(each.run_id), 6, each.jobs[0].end_scale_out) for each in runs])
    assert len(application.seconds(8, 0.5)) == 6
    assert application.seconds(8, 0.5) == pytest.approx(alike.seconds(8, 0.5), rel=0.2)


@pytest.mark.parametrize("make", [MAKE["curves"], MAKE["similar"]], ids=["curves", "similar"])
def test_before_its_first_job_all_of_a_run_is_left(make: Callable[[], Estimator]) -> None:
    started_late = [
        replace(
            each,
            jobs=tuple(replace(job, start_seconds=job.start_seconds + 30.0) for job in each.jobs),
            runtime_seconds=(each.runtime_seconds or 0.0) + 30.0,
        )
        for each in (run(number, 5, 4 + 4 * (number % 2)) for number in range(8))
    ]
    estimator = make()
    estimator.fit(started_late)
    for asked in started_late[:2]:
        assert estimator.remaining(asked, 0).seconds == pytest.approx(asked.runtime_seconds, rel=0.1)
        left = (asked.runtime_seconds or 0.0) - asked.jobs[0].end_seconds
        assert estimator.remaining(asked, 1).seconds == pytest.approx(left, rel=0.1)
