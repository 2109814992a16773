"""Jobs of one line whose numbers of tasks vary, run side by side in either order."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.odd_histories import Kind, make_odd_run
from training.evidence.alignment import align
from training.evidence.job_signatures import JobSignature, TaskRange
from training.evidence.parts import evidence_from_parts, evidence_to_parts
from training.evidence.place import Place, place_of
from training.evidence.table import Evidence, collect
from training.history.values import RunRecord

COLLECT = "collect at app.py:103"

SIZES = (6, 9, 14)
"""Numbers of partitions that are read."""

MERGE, READ, ONE, OTHER = 2, 3, 4, 5
"""Jobs of a run: what is merged with as many tasks as executors, what is read, and two of one task."""


def ending(number: int, scale_out: int, partitions: int, *, swapped: bool = False) -> RunRecord:
    """A run of two long jobs and, at its end, four of one line; the first two beside each other."""
    merge = Kind(((COLLECT, max(scale_out, 2)),), 0.2, fixed_seconds=0.2, beside=True)
    read = Kind(((COLLECT, partitions),), 1.2, fixed_seconds=0.5 * partitions / scale_out, beside=True)
    last = Kind(((COLLECT, 1),), 0.3, fixed_seconds=0.3)
    pair = (read, merge) if swapped else (merge, read)
    first = Kind((("collect at app.py:80", partitions),), 20.0)
    before = replace(first, stages=(("collect at app.py:94", partitions),))
    return make_odd_run(number, scale_out, regular=(first, before, *pair, last, last))


def history() -> list[RunRecord]:
    """Of 18 runs, all sizes at one to six executors; every third has its pair the other way round."""
    runs = [(scale_out, size) for scale_out in range(1, 7) for size in SIZES]
    return [
        ending(number, scale_out, size, swapped=number % 3 == 1)
        for number, (scale_out, size) in enumerate(runs)
    ]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return collect(history())


def test_runs_of_the_history_are_aligned_by_what_jobs_had_in_others(evidence: Evidence) -> None:
    assert len(evidence.graph.job_ids) == 6
    ranges = evidence.graph.task_ranges
    assert ranges is not None
    assert (ranges[MERGE].most, ranges[READ][:2], ranges[ONE]) == (6, (6, 14), TaskRange(1, 1, 1, 1))
    for row, run in enumerate(history()):
        merge = np.exp(evidence.log_job_runtime[row, MERGE])
        tasks = [job.stages[0].num_tasks for job in run.jobs]
        if max(tasks[2:4]) > 6:  # where both have six, nobody knows
            assert merge == pytest.approx(0.2)


def in_progress(evidence: Evidence, run: RunRecord, reported: tuple[int, ...]) -> Place:
    jobs = tuple(job for job in run.jobs if job.job_id in reported)
    return place_of(evidence, replace(run, jobs=jobs, runtime_seconds=None), max(reported))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("partitions", SIZES)
@pytest.mark.parametrize("scale_out", [1, 2, 3, 4])
def test_a_run_in_progress_is_where_it_is(
    evidence: Evidence, scale_out: int, partitions: int, swapped: bool
) -> None:
    run = ending(50, scale_out, partitions, swapped=swapped)
    slots = [0, 1, *((READ, MERGE) if swapped else (MERGE, READ)), ONE, OTHER]
    for count in range(4, 7):
        found = in_progress(evidence, run, tuple(range(count)))
        assert found.slots.tolist() == slots[:count]
        assert np.flatnonzero(found.ahead).tolist() == list(range(count, 6))
        assert found.job_ids == tuple(range(count, 6))
        assert found.note == ""
        seconds = np.exp(found.table().log_job_runtime[0, [MERGE, READ]])
        assert seconds == pytest.approx([0.2, 0.5 * partitions / scale_out])


def test_jobs_that_may_be_each_other_say_nothing_of_the_pace(evidence: Evidence) -> None:
    run = ending(50, 6, 6, swapped=True)
    found = in_progress(evidence, run, (0, 1, 2, 3))
    assert np.flatnonzero(found.ahead).tolist() == [ONE, OTHER]
    assert np.isnan(found.table().log_job_runtime[0, [MERGE, READ]]).all()
    assert np.isfinite(found.table().log_job_runtime[0, :MERGE]).all()


def test_while_the_other_one_runs_the_one_that_ended_is_known(evidence: Evidence) -> None:
    found = in_progress(evidence, ending(50, 2, 9, swapped=True), (0, 1, 3))
    assert found.slots.tolist() == [0, 1, MERGE]
    assert READ in np.flatnonzero(found.ahead)
    assert not found.missing.any()


@pytest.mark.parametrize(
    ("run", "partner"),
    [
        ((5, 2, 1), [1, 0, 2]),
        ((2, 5, 1), [0, 1, 2]),
        ((5, 4), [0, 1]),  # both are as good where they are
        ((3, 3, 1), [0, 1, 2]),
        ((4, 5, 1), [0, 1, 2]),  # one has, by chance, the usual number of the other
    ],
)
@pytest.mark.parametrize("ended", [False, True])
def test_within_their_ranges_neighbours_change_places(
    run: tuple[int, ...], partner: list[int], ended: bool
) -> None:
    def job(tasks: int) -> JobSignature:
        return JobSignature((COLLECT,), (tasks,), ((),))

    others, ranges = (job(3), job(4), job(1)), ((2, 5), (4, 9), (1, 1))
    tasks = tuple(TaskRange(*each, *each) for each in ranges)
    assert align(tuple(map(job, run)), others, tasks, ended=ended).tolist() == partner


def test_jobs_one_after_the_other_do_not_change_places() -> None:
    """The first one's data grew, the last one's shrank: each has as many tasks as the other one had."""

    def run(number: int, first: int, last: int) -> RunRecord:
        between = Kind((("map at app.py:9", 8),), 5.0)
        regular = (Kind(((COLLECT, first),), 20.0), between, Kind(((COLLECT, last),), 2.0))
        return make_odd_run(number, 2, regular=regular)

    evidence = collect([run(0, 2, 4), run(1, 3, 6), run(2, 4, 8), run(3, 5, 9)])
    assert in_progress(evidence, run(50, 8, 3), (0, 1, 2)).slots.tolist() == [0, 1, 2]


def test_a_job_that_succeeds_is_none_that_fails() -> None:
    failing, work = Kind(((COLLECT, 8),), 1.0, failed=True), Kind(((COLLECT, 4),), 20.0)
    evidence = collect([make_odd_run(number, 2, regular=(failing, work)) for number in range(4)])
    run = make_odd_run(50, 2, regular=(failing, replace(work, stages=((COLLECT, 8),))))
    found = in_progress(evidence, run, (0, 1))
    assert found.slots.tolist() == [0, 1]
    assert np.isfinite(found.table().log_job_runtime[0, 1])


def test_only_what_overlaps_may_have_changed_places(evidence: Evidence) -> None:
    assert evidence.beside_the_last == (False, False, False, True, False, False)
    assert evidence.neighbours(READ) == range(MERGE, ONE)


def test_what_was_tried_again_does_not_say_how_many_tasks_a_job_has() -> None:
    swapped, odd, usual = ending(0, 4, 8, swapped=True), ending(1, 5, 14), ending(2, 5, 14)
    read = odd.jobs[READ]
    again = replace(read, stages=(replace(read.stages[0], num_tasks=3, attempt=1),))
    odd = replace(odd, jobs=(*odd.jobs[:READ], again, *odd.jobs[READ + 1 :]))
    evidence = collect([swapped, odd, usual])
    assert np.exp(evidence.log_job_runtime[0, MERGE]) == pytest.approx(0.2)


def test_numbers_of_tasks_may_be_as_large_as_reports_allow() -> None:
    run = make_odd_run(0, 2, regular=(Kind(((COLLECT, 2**63 - 1),), 5.0),))
    [tasks] = collect([run]).graph.task_ranges or ()
    assert tasks.fewest == tasks.most == 2**63


def test_ranges_are_stored_and_read(evidence: Evidence) -> None:
    structure, arrays = evidence_to_parts(evidence)
    assert evidence_from_parts(structure, arrays).graph.task_ranges == evidence.graph.task_ranges
    without = {key: value for key, value in structure.items() if not key.endswith("st_tasks")}
    assert evidence_from_parts(without, arrays).graph.task_ranges is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"most_tasks": None}, "of some stages only"),
        ({"most_tasks": [1.0]}, "of some stages only"),
        ({"fewest_tasks": "most"}, "ranges of tasks that are none"),
        ({"most_tasks": "infinite"}, "ranges of tasks that are none"),
    ],
)
def test_ranges_that_are_none_are_refused(evidence: Evidence, change: dict[str, Any], says: str) -> None:
    structure, arrays = evidence_to_parts(evidence)
    most = np.array(structure["most_tasks"])
    wrong = {"most": (most + 1.0).tolist(), "infinite": (most + np.inf).tolist()}
    changed = {
        key: wrong.get(value, value) if isinstance(value, str) else value for key, value in change.items()
    }
    with pytest.raises(ValueError, match=says):
        evidence_from_parts(structure | changed, arrays)
