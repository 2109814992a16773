"""A run as it is kept for forecasts by history: small, and for them the same."""

import zlib
from dataclasses import replace

import pytest

from prediction.forecasts.whole_run import forecast_whole_run
from tests.support.odd_histories import ODDNESSES, Oddness, make_odd_history
from training.history.condensed import (
    MOST_JOBS,
    MOST_PARTS,
    MOST_STAGES,
    UnknownFormat,
    condensed,
    packed,
    unpacked,
)
from training.history.values import JobRecord, RunContext, RunRecord, StageMetrics, StageRecord

CONTEXT = RunContext("KMeans", ("--iterations", "4"), data_size_mb=100, versions=("4.1.4",))


def stage(number: int, *parents: int, tasks: int = 4, attempt: int = 0) -> StageRecord:
    metrics = StageMetrics(0.5, 0.1, 1.0, 1.0, 0.0)
    return StageRecord(
        number, f"map at a.py:{number}", tasks, parents, 1.0, 2.0, 2, 2, 0.0, metrics, attempt=attempt
    )


def run(*stages_of: int, tasks: int = 4) -> RunRecord:
    """A run whose jobs have so many stages, each after the one before."""
    jobs = []
    for job_id, count in enumerate(stages_of):
        stages = tuple(stage(n, *([n - 1] if n else []), tasks=tasks) for n in range(count))
        jobs.append(JobRecord(job_id, 10.0 * job_id, 9.5, 2, 3, 0.25, stages))
    return RunRecord("run", CONTEXT, 1e9, tuple(jobs), 10.0 * len(jobs))


def test_packed_runs_are_read_as_they_were() -> None:
    found = condensed(run(3, 0, 5))
    assert unpacked(packed(found)) == found
    assert [len(job.stages) for job in found.jobs] == [3, 0, 5]
    assert [each.parent_ids for each in found.jobs[0].stages] == [(), (0,), (1,)]
    assert replace(found, jobs=()) == replace(run(3, 0, 5), jobs=())
    assert {each.metrics for job in found.jobs for each in job.stages} == {None}


def test_a_run_of_huge_jobs_takes_a_few_kilobytes() -> None:
    found = condensed(run(10_000, 10_000, 10_000))
    assert [len(job.stages) for job in found.jobs] == [MOST_STAGES] * 3
    assert [sum(each.num_tasks for each in job.stages) for job in found.jobs] == [40_000] * 3
    assert found.jobs[0].stages[-1].name == "map at a.py:9999"
    assert len(packed(found)) < 4096


def test_jobs_beyond_the_most_stand_as_one_and_condensed_again_nothing_changes() -> None:
    found = condensed(run(*[2] * (MOST_JOBS + 500), 100))
    assert len(found.jobs) == MOST_JOBS
    assert found.jobs[-1].end_seconds == 10.0 * (MOST_JOBS + 500) + 9.5
    assert found.jobs[-1].job_id == MOST_JOBS + 500
    assert condensed(found) == found


def test_many_different_jobs_keep_fewer_stages_each() -> None:
    jobs = [
        replace(job, stages=tuple(replace(each, num_tasks=job.job_id) for each in job.stages))
        for job in run(*[64] * 1000).jobs
    ]
    found = condensed(replace(run(), jobs=tuple(jobs)))
    assert sum(len(each.parent_ids) + 1 for job in found.jobs for each in job.stages) <= MOST_PARTS
    assert {len(job.stages) for job in found.jobs} == {8}


def test_that_a_stage_was_tried_again_is_kept() -> None:
    stages = (stage(0, attempt=1), *(stage(n) for n in range(1, 200)))
    retried = replace(run(), jobs=(JobRecord(0, 0.0, 9.5, 2, 2, 0.0, stages),))
    assert condensed(retried).jobs[0].retried


@pytest.mark.parametrize("data", [b"", b"no", zlib.compress(b"{}"), zlib.compress(b'{"format": 0}')])
def test_what_another_version_wrote_is_told(data: bytes) -> None:
    with pytest.raises(UnknownFormat):
        unpacked(data)


@pytest.mark.parametrize("oddness", [None, *ODDNESSES])
def test_forecasts_from_condensed_runs_are_the_same(oddness: Oddness | None) -> None:
    history = make_odd_history(0, oddness, scale_outs=(2, 4, 3, 6, 4, 2))
    context = history[-1].context
    kept = [unpacked(packed(condensed(each))) for each in history]
    assert forecast_whole_run(kept, None, context, (2, 4, 8)) == forecast_whole_run(
        history, None, context, (2, 4, 8)
    )
