"""Estimators of `benchmarks/real_runs.py --parts evaluate`, where runs come in several sizes."""

from dataclasses import replace

import pytest

from benchmarks.estimators import Model, SimilarMedian, without_metrics
from benchmarks.initial_baselines import log_boosting
from benchmarks.real.evaluation import InHindsight, OfSameContext, WholeRun
from benchmarks.remaining_runtime import predict
from benchmarks.staged_application import make_runs
from training.history.values import JobRecord, RunContext, RunRecord


def run(number: int, scale_out: int, size: int) -> RunRecord:
    """Three jobs, each of which takes 12 s times the size over its executors."""
    seconds = 12.0 * size / scale_out
    jobs = tuple(JobRecord(job, job * seconds, seconds, scale_out, scale_out, 0.0) for job in range(3))
    context = RunContext("Sums", ("--rows", str(size)), size)
    return RunRecord(str(number), context, float(number), jobs, 3 * seconds)


HISTORY = [run(number, 1 + number % 3, 1 + number % 2) for number in range(36)]


def test_baselines_without_context_learn_from_runs_of_the_same_size() -> None:
    estimator = OfSameContext(SimilarMedian)
    estimator.fit(HISTORY)
    for size in (1, 2):
        for finished, left in ((0, 36.0), (1, 24.0), (2, 12.0)):
            assert estimator.remaining(run(99, 2, size), finished).seconds == pytest.approx(left * size / 2)
    # Of a size that nobody has seen, what is known of the others is better than nothing.
    assert 18.0 <= estimator.remaining(run(99, 2, 4), 0).seconds <= 36.0


def test_in_hindsight_equal_runs_tell_the_rest_and_never_the_run_itself() -> None:
    estimator = InHindsight([*HISTORY, replace(run(99, 2, 1), runtime_seconds=1000.0)])
    estimator.fit([])
    for size in (1, 2):
        for finished, left in ((0, 36.0), (2, 12.0)):
            asked = run(98 + size, 2, size)
            assert estimator.remaining(asked, finished).seconds == pytest.approx(left * size / 2)
    alone = InHindsight([*HISTORY, run(99, 5, 2)])
    assert alone.remaining(run(99, 5, 2), 0).seconds == pytest.approx(24.0), "that with three executors"


def test_whole_runtimes_are_regressed_from_size_and_scale_out() -> None:
    estimator = WholeRun(log_boosting)
    estimator.fit(HISTORY)
    for size in (1, 2):
        for scale_out in (1, 2, 3):
            found = estimator.remaining(run(99, scale_out, size), 0).seconds
            assert found == pytest.approx(36.0 * size / scale_out, rel=0.05)
    with pytest.raises(ValueError, match="nothing of jobs"):
        estimator.remaining(run(99, 1, 1), 1)


def test_runs_may_be_asked_about_before_they_start() -> None:
    before = predict(
        OfSameContext(SimilarMedian),
        HISTORY,
        1,
        lambda: None,
        is_failure=lambda each: int(each.run_id) % 6 == 0,
        moments=lambda each: (0,),
    )
    assert before.measured.tolist() == [each.runtime_seconds for each in HISTORY[10:]]
    assert before.failure.sum() == 4
    assert set(before.after) == {0.0}


def test_without_metrics_a_model_learns_from_the_rest() -> None:
    runs = make_runs(11)
    bare = without_metrics(runs[0])
    assert all(stage.metrics is None for job in bare.jobs for stage in job.stages)
    assert [job.runtime_seconds for job in bare.jobs] == [job.runtime_seconds for job in runs[0].jobs]
    estimator = Model(0, max_epochs=1, metrics=False)
    estimator.fit(runs[:10])
    left = (runs[10].runtime_seconds or 0.0) - runs[10].jobs[5].end_seconds
    assert estimator.remaining(runs[10], 6).seconds == pytest.approx(left, rel=0.6)
