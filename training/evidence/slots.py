"""Slots: the jobs of an application that recur from run to run, in order.

Runs are aligned one after the other with what has been found so far, beginning with the sequence of jobs
that most runs had: a progressive alignment, as of Feng and Doolittle, J. Mol. Evol. 1987. A job that is
like none so far gets a slot of its own. Runs without recorded stages are paired by the ids of their jobs:
nothing else is known of them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from training.evidence.alignment import align
from training.evidence.job_signatures import UNREPORTED, JobSignature, TaskRange, signature_of, task_range
from training.history.values import JobRecord, RunRecord
from training.statistics.arrays import Ints

ENOUGH_RUNS = 4
"""Runs from which on a job that a single one had, beside jobs that others had too, is left aside."""

COMMON_SHARE = 0.5
"""Share of a run's jobs that others have to have had, for the rest to be left aside."""

MOST_SLOTS = 2
"""Slots at most, in units of the jobs of the longest run: those of the most runs are kept."""


@dataclass
class Slot:
    """A job that recurs."""

    signature: JobSignature
    jobs: list[JobRecord] = field(default_factory=list)
    """One of each run that had it, oldest first."""
    runs: list[int] = field(default_factory=list)
    job_id: int = -1
    """The id that it has in most runs, not decreasing from slot to slot."""
    fewest: tuple[int, ...] = ()
    """Tasks of its stages in the runs aligned so far."""
    most: tuple[int, ...] = ()

    def take_in(self, signature: JobSignature) -> None:
        """Learn how many tasks it may have."""
        if not self.fewest:
            self.fewest = self.most = signature.tasks
        elif signature.names == self.signature.names:
            self.fewest = tuple(map(min, self.fewest, signature.tasks))
            self.most = tuple(map(max, self.most, signature.tasks))


def ordered_jobs(run: RunRecord) -> list[JobRecord]:
    """Jobs of a run in order of their ids."""
    return sorted(run.jobs, key=lambda job: job.job_id)


def side_by_side(jobs: Iterable[JobRecord | None]) -> tuple[int, ...]:
    """Groups of jobs in order of their ids: a new one begins where all before have ended.

    Args:
        jobs: None for one of which nothing was reported: it may have run beside those around it.
    """
    group, end, is_known = 0, 0.0, True
    found: list[int] = []
    for job in jobs:
        if job is not None:
            group += int(is_known and job.start_seconds >= end)
            end = max(end, job.end_seconds)
        is_known = job is not None
        found.append(group)
    return tuple(found)


class Partners(NamedTuple):
    """Slots of a run's jobs, -1 for none."""

    reported: Ints
    """Of each job, (jobs,)."""
    unreported: dict[int, int]
    """Of each job between them of which nothing but its id is known, by that."""


def partners(
    jobs: Sequence[JobRecord],
    signatures: tuple[JobSignature, ...],
    ids: Sequence[int],
    tasks: tuple[TaskRange, ...] | None = None,
    *,
    ended: bool,
) -> Partners:
    """Slots of a run's jobs.

    A driver numbers its jobs without holes: those that a run in progress has say that jobs began of which
    nothing was reported, and they are in the place of what was reported of none.

    Args:
        jobs: In order of their ids.
        signatures: Of the slots.
        ids: Of the slots.
        tasks: Numbers of tasks that the slots' jobs had; None where it is not known.
        ended: Whether the run has all of its jobs.
    """
    own = {job.job_id: signature_of(job) for job in jobs}
    unreported = [] if ended else _unreported(own, ids)
    numbers = sorted([*own, *unreported])
    nothing_known = not any(each.names or each.failed for each in (*own.values(), *signatures))
    if nothing_known:
        position = {job_id: slot for slot, job_id in enumerate(ids)}
        slots = {job_id: position.get(job_id, -1) for job_id in numbers}
    else:
        run = tuple(own.get(job_id, UNREPORTED) for job_id in numbers)
        reports = {job.job_id: job for job in jobs}
        groups = side_by_side([reports.get(job_id) for job_id in numbers])
        slots = dict(zip(numbers, align(run, signatures, tasks, groups, ended=ended).tolist(), strict=True))
    reported = np.array([slots[job.job_id] for job in jobs], dtype=np.int64)
    return Partners(reported, {job_id: slots[job_id] for job_id in unreported})


def _unreported(own: Collection[int], ids: Sequence[int]) -> list[int]:
    """Ids below a run's last one that are not its own, nor left out by other runs, too; as many as slots."""
    last = max(own, default=-1)
    usual = sorted(job_id for job_id in set(ids) if job_id < last)
    left_out = (job_id for job_id in chain(usual, range(max(ids, default=-1) + 1, last)) if job_id not in own)
    return list(islice(left_out, len(ids)))


def find_slots(history: Sequence[RunRecord]) -> list[Slot]:
    """Slots of a history, in order; every run has at least one of them.

    Args:
        history: Runs with at least one job each, oldest first.
    """
    runs = [ordered_jobs(run) for run in history]
    sequences = [tuple(signature_of(job) for job in jobs) for jobs in runs]
    if not any(each.names or each.failed for sequence in sequences for each in sequence):
        slots = _by_id(runs)
    else:
        slots = _aligned(runs, sequences)
    for slot in slots:
        slot.signature = Counter(signature_of(job) for job in slot.jobs[::-1]).most_common(1)[0][0]
        slot.job_id = Counter(job.job_id for job in slot.jobs[::-1]).most_common(1)[0][0]
    ids = np.minimum.accumulate([slot.job_id for slot in slots][::-1])[::-1]
    for slot, job_id in zip(slots, ids.tolist(), strict=True):
        slot.job_id = job_id
    return slots


def _by_id(runs: Sequence[Sequence[JobRecord]]) -> list[Slot]:
    found: dict[int, Slot] = {}
    for row, jobs in enumerate(runs):
        for job in jobs:
            _add(found.setdefault(job.job_id, Slot(JobSignature())), row, job)
    return [found[job_id] for job_id in sorted(found)]


def _aligned(
    runs: Sequence[Sequence[JobRecord]], sequences: Sequence[tuple[JobSignature, ...]]
) -> list[Slot]:
    counts = Counter(sequences)
    middle = float(np.median([len(sequence) for sequence in sequences]))
    usual = max(
        range(len(runs)), key=lambda row: (counts[sequences[row]], -abs(len(runs[row]) - middle), row)
    )
    slots = [Slot(signature) for signature in sequences[usual]]
    for slot in slots:
        slot.take_in(slot.signature)
    groups = [side_by_side(jobs) for jobs in runs]
    known: dict[tuple[tuple[JobSignature, ...], tuple[int, ...]], list[Slot]] = {}
    rows = sorted(range(len(runs)), key=lambda row: (sequences[row] != sequences[usual], -row))
    for row in rows:
        if (sequences[row], groups[row]) not in known:
            retried = [job.retried for job in runs[row]]
            known[sequences[row], groups[row]] = _take_in(slots, sequences[row], groups[row], retried)
    for row, jobs in enumerate(runs):
        for slot, job in zip(known[sequences[row], groups[row]], jobs, strict=True):
            _add(slot, row, job)
    return _recurring(slots, runs)


def _take_in(
    slots: list[Slot], sequence: tuple[JobSignature, ...], groups: tuple[int, ...], retried: Sequence[bool]
) -> list[Slot]:
    """Slots of a run's jobs; those that are new stand behind the one of the job before.

    Args:
        groups: Of the jobs, as `side_by_side` finds them.
        retried: Jobs with stages that were tried again, which may say wrong numbers of tasks.
    """
    signatures = tuple(slot.signature for slot in slots)
    tasks = tuple(task_range(slot.fewest, slot.most) for slot in slots)
    partner = align(sequence, signatures, tasks, groups, ended=True).tolist()
    known = list(slots)
    own: list[Slot] = []
    after: dict[int, list[Slot]] = {}
    last = -1
    for signature, slot, again in zip(sequence, partner, retried, strict=True):
        if slot >= 0:
            last = max(last, slot)
            own.append(known[slot])
        else:
            own.append(Slot(signature))
            after.setdefault(last, []).append(own[-1])
        if slot < 0 or not again:
            own[-1].take_in(signature)
    slots[:] = after.get(-1, [])
    for position, each in enumerate(known):
        slots += [each, *after.get(position, [])]
    return own


def _add(slot: Slot, row: int, job: JobRecord) -> None:
    slot.jobs.append(job)
    slot.runs.append(row)


def _recurring(slots: list[Slot], runs: Sequence[Sequence[JobRecord]]) -> list[Slot]:
    """Without jobs that a single run had beside those that it shares with others."""
    if len(runs) < ENOUGH_RUNS:
        return slots
    shared = Counter(run for slot in slots if len(slot.runs) > 1 for run in slot.runs)
    kept = [
        slot
        for slot in slots
        if len(slot.runs) > 1 or shared[slot.runs[0]] < COMMON_SHARE * len(runs[slot.runs[0]])
    ]
    most = MOST_SLOTS * max(map(len, runs))
    if len(kept) <= most:
        return kept
    limit = sorted((len(slot.runs) for slot in kept), reverse=True)[most - 1]
    return [slot for slot in kept if len(slot.runs) >= limit][:most]
