"""Where a run in progress is among the jobs that its application is expected to have."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.evidence.alignment import NEIGHBOURS
from training.evidence.graph import Graph
from training.evidence.job_signatures import JobSignature, fits, signature_of
from training.evidence.slots import ordered_jobs
from training.evidence.table import Evidence, collect, expected_jobs, partners_of
from training.history.values import JobRecord, RunContext, RunRecord
from training.statistics.arrays import Bools, Floats, Ints

DOUBT = 0.25
"""Share of the seconds of jobs without partner that may be left more or less."""

UNKNOWN_LOG_STD = 0.5
"""Standard deviation of the log that is added for a run none of whose jobs is like any before."""

NAMED_JOBS = 3
"""Jobs that are named in a sentence; more are counted."""


@dataclass(frozen=True)
class Place:
    """A run in progress among the jobs of its application."""

    evidence: Evidence
    context: RunContext
    finished: tuple[JobRecord, ...]
    """Its jobs so far, in order of their ids."""
    slots: Ints
    """Position of each among those of the history, -1 for none."""
    cut: int
    """Position of the last one that has passed, -1 before the first."""
    ahead: Bools
    """Jobs that are to be expected, (J,)."""
    missing: Bools
    """Jobs that were to be expected before the cut, and that the run has not had, (J,)."""
    unreported: dict[int, int]
    """Jobs expected before the cut that stand for those of which only the id is known, by that id."""
    after_job_id: int

    @property
    def job_ids(self) -> tuple[int, ...]:
        """Ids that the jobs ahead are to have: as in earlier runs, by as many later as this run had more."""
        ids = np.array(self.evidence.graph.job_ids, dtype=np.int64)
        paired = np.flatnonzero(self.slots >= 0)
        shift = 0
        if len(paired):
            last = int(paired[-1])
            left_over = len(self.finished) - 1 - last
            # Of two that changed places, the one with the higher id has the lower slot.
            shift = self.finished[last].job_id - int(ids[self.slots.max()]) + left_over
        found: list[int] = []
        for job_id in (ids[self.ahead] + shift).tolist():
            found.append(max(job_id, (found[-1] if found else self.after_job_id) + 1))
        return tuple(found)

    @cached_property
    def unlike(self) -> tuple[JobRecord, ...]:
        """Finished jobs that succeeded and are like none of earlier runs."""
        pairs = zip(self.finished, self.slots.tolist(), strict=True)
        return tuple(job for job, slot in pairs if slot < 0 and not job.failed)

    @cached_property
    def failed(self) -> tuple[JobRecord, ...]:
        """Finished jobs that failed, and do not in earlier runs: their work is still to be done, or was."""
        pairs = zip(self.finished, self.slots.tolist(), strict=True)
        return tuple(job for job, slot in pairs if slot < 0 and job.failed)

    def spread(self, remaining_seconds: Floats) -> Floats:
        """What jobs without partner add to the standard deviation of the log of what is left, (X,).

        A part of what unlike jobs took, and missing and unreported ones usually take, may be left more or
        less. A run of which a large share is unlike may go on as no earlier one did.

        Args:
            remaining_seconds: Forecast per candidate, (X,).
        """
        usual = self.evidence.usual_runtime[self.missing].sum()
        usual += self.evidence.usual_runtime[list(self.unreported.values())].sum()
        unlike = sum(job.runtime_seconds for job in self.unlike)
        total = sum(job.runtime_seconds for job in self.finished)
        more = np.log1p(DOUBT * (float(usual) + unlike) / np.maximum(remaining_seconds, 1e-3))
        return np.asarray(more + UNKNOWN_LOG_STD * (unlike / max(total, 1e-3)) ** 2)

    def table(self) -> Evidence:
        """The run as a table over the graph of the history; its only row.

        What a job took that may be another one is left out: several threads run some that nobody can tell
        apart, or it is paired with one that it resembles, while its like is near. A short one taken for a
        long one would say that the run is fast.
        """
        run = RunRecord("", self.context, 0.0, self.finished)
        table = collect([run], self.evidence.graph)
        unsure = self.evidence.indistinct.copy()
        own = {slot: signature_of(job) for job, slot in zip(self.finished, self.slots.tolist(), strict=True)}
        for slot in own:
            if slot >= 0:
                unsure[slot] |= _may_be_another(self.evidence, own, slot)
        table.log_job_runtime[0, unsure] = np.nan
        nodes = unsure[self.evidence.graph.node_job]
        table.log_runtime[0, nodes] = np.nan
        table.metrics[0, nodes] = np.nan
        return table

    @property
    def note(self) -> str:
        """What does not fit, for people; empty where all does."""
        failed, unlike = ([job.job_id for job in jobs] for jobs in (self.failed, self.unlike))
        unreported = sorted(self.unreported)
        parts = [
            f"{_named(failed)} failed and {_counts(failed)} for nothing" if failed else "",
            f"{_named(unlike)} {_is(unlike)} like none of earlier runs" if unlike else "",
            f"{_named(unreported)} {_was(unreported)} not reported" if unreported else "",
        ]
        missing = int(self.missing.sum())
        if missing:
            parts.append(f"{missing} {'job' if missing == 1 else 'jobs'} of earlier runs did not come")
        return ", ".join(filter(None, parts))


def place_of(evidence: Evidence, run: RunRecord, after_job_id: int) -> Place:
    """Find where a run is.

    Args:
        evidence: Table of the history.
        run: Its jobs after `after_job_id` are ignored.
        after_job_id: Last finished job, -1 before the run.
    """
    graph = evidence.graph
    jobs = tuple(job for job in run.jobs if job.job_id <= after_job_id)
    so_far = RunRecord(run.run_id, run.context, run.started_at, jobs)
    slots, unreported = partners_of(graph, so_far)
    finished = tuple(ordered_jobs(so_far))
    unreported = _in_their_turn(evidence, finished, slots, unreported)
    expected = expected_jobs(evidence, run.context)
    if any(job.stages for job in jobs) and any(each.names for each in graph.signatures):
        cut = int(slots.max())
    else:  # nothing is known but how far it has come
        cut = int(np.searchsorted(np.array(graph.job_ids), after_job_id, side="right")) - 1
    position = np.arange(len(graph.job_ids))
    left_out = expected & (position <= cut) & ~np.isin(position, slots) & bool(jobs)
    of_unreported = np.isin(position, list(unreported.values()))
    to_come = left_out & np.where(
        of_unreported, _may_still_run(evidence, cut), _may_still_come(graph, slots, left_out)
    )
    return Place(
        evidence,
        run.context,
        finished,
        slots,
        cut,
        (expected & (position > cut)) | to_come,
        left_out & ~to_come & ~of_unreported,
        {job_id: slot for job_id, slot in unreported.items() if slot >= 0 and (left_out & ~to_come)[slot]},
        after_job_id,
    )


def _in_their_turn(
    evidence: Evidence, jobs: Sequence[JobRecord], slots: Ints, unreported: Mapping[int, int]
) -> dict[int, int]:
    """Places of unreported jobs, by their ids; -1 behind the next job's, unless they run side by side."""
    ids, found = [job.job_id for job in jobs], dict(unreported)
    for job_id, slot in unreported.items():
        following = bisect_right(ids, job_id)
        after = int(slots[following]) if following < len(ids) else -1
        if 0 <= after < slot and slot not in evidence.neighbours(after):
            found[job_id] = -1
    return found


def _may_be_another(evidence: Evidence, own: Mapping[int, JobSignature], slot: int) -> bool:
    """Whether the job that has a slot may be that of another one.

    Args:
        own: What a run's jobs are, by their slots.
    """
    signatures, tasks, job = evidence.graph.signatures, evidence.graph.task_ranges, own[slot]
    near = range(max(slot - NEIGHBOURS, 0), min(slot + NEIGHBOURS + 1, len(signatures)))
    if tasks is None:
        return job != signatures[slot] and any(job == signatures[each] for each in near)
    if not _has_tasks_of(evidence, job, slot):
        return any(_has_tasks_of(evidence, job, each) for each in near)
    # Where it is at home, another one has to be at home there, too, which has its place or has not come. Jobs
    # without stages are paired by their ids, which tell them apart.
    return bool(job.names) and any(
        each != slot
        and _has_tasks_of(evidence, job, each)
        and _has_tasks_of(evidence, own.get(each, job), slot)
        and evidence.exchangeable(slot, each)
        for each in evidence.neighbours(slot)
    )


def _has_tasks_of(evidence: Evidence, job: JobSignature, slot: int) -> bool:
    """Whether a job has the stages, and as many tasks, as that of a slot had."""
    graph = evidence.graph
    if job == graph.signatures[slot] or graph.task_ranges is None:
        return job == graph.signatures[slot]
    usual = graph.signatures[slot]
    is_alike = (job.names, job.failed) == (usual.names, usual.failed)
    return is_alike and fits(job, graph.task_ranges[slot])


def _may_still_run(evidence: Evidence, cut: int) -> Bools:
    """Jobs before the cut that may run on behind it: all between usually run beside earlier ones, (J,)."""
    found = np.zeros(len(evidence.beside), dtype=bool)
    for job in range(cut - 1, -1, -1):
        if not evidence.beside[job + 1]:
            break
        found[job] = True
    return found


def _may_still_come(graph: Graph, slots: Ints, left_out: Bools) -> Bools:
    """Jobs left out that look like one that came soon after: threads number theirs in any order, (J,)."""
    found = np.zeros(len(left_out), dtype=bool)
    for job in np.flatnonzero(left_out):
        names = graph.signatures[job].names
        later = slots[(slots > job) & (slots <= job + NEIGHBOURS)].tolist()
        found[job] = any(graph.signatures[slot].names == names for slot in later)
    return found


def _named(job_ids: Sequence[int]) -> str:
    if len(job_ids) == 1:
        return f"job {job_ids[0]}"
    if len(job_ids) > NAMED_JOBS:
        return f"{len(job_ids)} jobs"
    return f"jobs {', '.join(map(str, job_ids[:-1]))} and {job_ids[-1]}"


def _is(job_ids: Sequence[int]) -> str:
    return "is" if len(job_ids) == 1 else "are"


def _was(job_ids: Sequence[int]) -> str:
    return "was" if len(job_ids) == 1 else "were"


def _counts(job_ids: Sequence[int]) -> str:
    return "counts" if len(job_ids) == 1 else "count"
