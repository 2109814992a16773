"""Where a run in progress is of which not every job was reported."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.support.odd_histories import CONTEXT, ITERATION, LOAD, SAVE, make_odd_history, make_odd_run
from training.evidence.place import Place, place_of
from training.evidence.table import collect
from training.history.values import JobRecord, RunRecord

BARE = [
    replace(run, jobs=tuple(replace(job, stages=()) for job in run.jobs)) for run in make_odd_history(0, None)
]


def place(job_ids: Sequence[int], *, bare: bool = False, run: RunRecord | None = None) -> Place:
    """Of a run of which only these jobs were reported."""
    run = run or make_odd_run(50, 2)
    jobs = [replace(job, stages=()) if bare else job for job in run.jobs if job.job_id in job_ids]
    evidence = collect(BARE if bare else make_odd_history(0, None))
    so_far = replace(run, jobs=tuple(jobs), runtime_seconds=None)
    return place_of(evidence, so_far, max(job_ids, default=-1))


def ahead(found: Place) -> list[int]:
    return np.flatnonzero(found.ahead).tolist()


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("lost", [(5,), (5, 6), (4, 5, 6, 7), (0, 5), (0, 1, 2, 3, 4, 5)])
def test_jobs_that_nobody_reported_have_run(lost: Sequence[int], bare: bool) -> None:
    """Jobs 4 to 8 are iterations, all alike, one after the other."""
    found = place([job_id for job_id in range(9) if job_id not in lost], bare=bare)
    assert ahead(found) == [9, 10, 11]
    assert found.job_ids == (9, 10, 11)
    assert found.unreported == {job_id: job_id for job_id in lost}
    assert not found.missing.any()
    assert "not reported" in found.note


def test_what_is_left_does_not_depend_on_what_was_lost_but_is_less_sure() -> None:
    whole, holes = place(range(9)), place([0, 1, 2, 3, 4, 7, 8])
    assert (holes.ahead == whole.ahead).all()
    assert holes.note == "jobs 5 and 6 were not reported"
    left = np.array([60.0])
    doubt = 0.25 * holes.evidence.usual_runtime[[5, 6]].sum()
    assert whole.spread(left) == 0.0
    assert holes.spread(left) == pytest.approx(np.log1p(doubt / 60.0))


@pytest.mark.parametrize("bare", [False, True])
def test_a_job_of_another_thread_may_still_run(bare: bool) -> None:
    """Jobs 1 to 3 are broadcasts beside each other; job 4 begins when all have ended."""
    found = place([0, 2, 3], bare=bare)
    assert ahead(found) == [1, 4, 5, 6, 7, 8, 9, 10, 11]
    assert (found.unreported, found.note) == ({}, "")
    found = place([0, 2, 3, 4], bare=bare)
    assert ahead(found) == [5, 6, 7, 8, 9, 10, 11]
    assert found.note == "job 1 was not reported"


def numbered(run: RunRecord, first: int) -> RunRecord:
    """With one id left out before a job, of which no job is."""
    return replace(
        run, jobs=tuple(replace(job, job_id=job.job_id + (job.job_id >= first)) for job in run.jobs)
    )


def test_ids_that_earlier_runs_left_out_are_of_no_job() -> None:
    evidence = collect(numbered(run, 6) for run in make_odd_history(0, None))
    run = numbered(make_odd_run(50, 2), 6)
    found = place_of(evidence, replace(run, jobs=run.jobs[:8], runtime_seconds=None), 8)
    assert (ahead(found), found.unreported, found.note) == ([8, 9, 10, 11], {}, "")


def test_an_id_far_away_costs_nothing() -> None:
    evidence = collect(make_odd_history(0, None))
    far = JobRecord(2_000_000_000, 5.0, 1.0, 2, 2, 0.0)
    found = place_of(evidence, RunRecord("", CONTEXT, 0.0, (far,)), far.job_id)
    assert len(found.unreported) <= len(evidence.graph.job_ids)


def test_without_stages_ids_tell_jobs_side_by_side_apart() -> None:
    """Jobs 1 to 3 run beside each other, and take 2, 5 and 12 seconds with one executor."""
    table = place(range(9), bare=True).table()
    assert np.isfinite(table.log_job_runtime[0, :9]).all()


def test_a_job_that_is_like_none_takes_no_place_of_what_is_to_come() -> None:
    """Job 0 is one more than usual, and nobody reported it: three iterations of five are left."""
    regular = (LOAD, *(ITERATION,) * 5, SAVE)
    evidence = collect(make_odd_history(0, None, regular=regular))
    run = numbered(make_odd_run(50, 2, regular=regular), 0)
    found = place_of(evidence, replace(run, jobs=run.jobs[:3], runtime_seconds=None), 3)
    assert found.ahead.sum() == 4
    assert found.job_ids == (4, 5, 6, 7)
