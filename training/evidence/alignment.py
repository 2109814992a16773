"""Alignment of two sequences of jobs: in order, by what the jobs are, with a price for what is left over.

Needleman and Wunsch, J. Mol. Biol. 1970, with linear prices for gaps, row by row in numpy; neighbours that
only changed places are paired, too: Spark numbers jobs of several threads in any order. Two that follow each
other may do so within the alignment (Damerau, Commun. ACM 1964), where it is known how many tasks jobs may
have; others are looked for in what it left.

Axes: A jobs of a run, B jobs they are aligned with.
"""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import TypeVar

import numpy as np

from training.evidence.job_signatures import UNREPORTED_ALIKE, JobSignature, TaskRange, similarities
from training.statistics.arrays import Floats, Ints

LEAST_ALIKE = 0.5
"""Similarity below which two jobs are never taken for the same work."""

GAP = 0.02
"""Price of a job without partner, in units of a pair of equal jobs: any pair is worth it."""

STEP_AHEAD = 0.15
"""Price of each job that a run in progress would have left out: what is far ahead and looks alike is no
reason to take everything before it for done."""

NEIGHBOURS = 8
"""Places by which jobs of one run may be swapped."""

CHANGED_PLACES = 0.1
"""Price of two jobs that changed places, where their numbers of tasks alone say so."""

ALMOST = 0.99
"""Similarity of jobs that differ, at most."""

MOST_CELLS = 16_000_000
"""Pairs of jobs that are looked at, 4,000 by 4,000; of longer runs, what differs is paired place by place."""

Key = TypeVar("Key", bound=Hashable)

_NOTHING = -1e9

_PAIR, _LEFT_OVER, _SKIPPED, _CROSSWISE = 0, 1, 2, 3


@lru_cache(maxsize=64)
def align(
    run: tuple[JobSignature, ...],
    others: tuple[JobSignature, ...],
    tasks: tuple[TaskRange, ...] | None = None,
    groups: tuple[int, ...] | None = None,
    *,
    ended: bool,
) -> Ints:
    """Partner of each job of a run among others, -1 for none, (A,); not to be changed.

    Args:
        tasks: Numbers of tasks that the others had, (B,); None where it is not known.
        groups: Of the run's jobs, (A,): those of one ran side by side, and may have changed places where
            their numbers of tasks alone say so. None: all may.
        ended: Whether the run has all of its jobs; of one in progress, the rest of the others is to come.
    """
    partner = np.full(len(run), -1, dtype=np.int64)
    begin = _alike(run, others)
    partner[:begin] = np.arange(begin)
    # The last job of a run in progress may be a left over one of those that look like the first ones left.
    same = _alike(run[begin:][::-1], others[begin:][::-1]) if ended else 0
    if same:
        partner[len(run) - same :] = np.arange(len(others) - same, len(others))
    between = slice(begin, len(others) - same)
    a, b = run[begin : len(run) - same], others[between]
    if a and b:
        own = (groups or (0,) * len(run))[begin : len(run) - same]
        inner = _align(a, b, None if tasks is None else tasks[between], own, ended)
        partner[begin : len(run) - same] = np.where(inner >= 0, inner + begin, -1)
    return partner


def _alike(left: Sequence[JobSignature], right: Sequence[JobSignature]) -> int:
    """Number of equal jobs at the beginning of both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _align(
    run: Sequence[JobSignature],
    others: Sequence[JobSignature],
    tasks: Sequence[TaskRange] | None,
    groups: Sequence[int],
    ended: bool,
) -> Ints:
    of_run, code = _distinct(run)
    of_others, other_code = _distinct(
        [(signature, tasks[column] if tasks else None) for column, signature in enumerate(others)]
    )
    signatures = [signature for signature, _ in of_others]
    ranges = None if tasks is None else [own for _, own in of_others if own is not None]
    distinct = np.minimum(similarities(list(of_run), signatures, ranges), ALMOST)
    for column, signature in enumerate(signatures):
        if signature in of_run:
            distinct[of_run[signature], column] = 1.0
    if len(run) * len(others) > MOST_CELLS:
        places = np.arange(len(run))
        paired = places < len(others)
        paired[paired] = distinct[code[paired], other_code[places[paired]]] >= LEAST_ALIKE
        return np.where(paired, places, -1)
    alike = distinct[code][:, other_code]
    least = np.where([each.unreported for each in run], UNREPORTED_ALIKE, LEAST_ALIKE)
    pairs = np.where(alike >= least[:, None], alike, _NOTHING)
    crosswise = [False, *(tasks is not None and one == other for one, other in pairwise(groups))]
    partner = _in_order(pairs, GAP if ended else STEP_AHEAD, ended, crosswise)
    equal = 1.0 if tasks is None else ALMOST
    _swap(partner, alike, len(others) if ended else int(partner.max(initial=-1)), equal, groups)
    return partner


def _distinct(jobs: Sequence[Key]) -> tuple[dict[Key, int], Ints]:
    """What occurs, numbered, and the number of each job's."""
    numbers: dict[Key, int] = {}
    codes = [numbers.setdefault(job, len(numbers)) for job in jobs]
    return numbers, np.array(codes, dtype=np.int64)


def _in_order(pairs: Floats, step: float, ended: bool, crosswise: Sequence[bool]) -> Ints:
    """The best partners that keep the order, the earliest ones of equals, by values of pairs (A, B), (A,).

    Args:
        crosswise: Whether a job may have changed places with the one before, (A,); the first has none.
    """
    a, b = pairs.shape
    columns = np.arange(b + 1)
    best = -step * columns
    before = best
    back = np.zeros((a + 1, b + 1), dtype=np.int8)
    back[0] = _SKIPPED
    for job in range(a):
        paired = np.concatenate([[_NOTHING], best[:-1] + pairs[job]])
        left_over = best - GAP
        reached = np.maximum(paired, left_over)
        if crosswise[job]:
            both = pairs[job - 1][1:] + pairs[job][:-1] - CHANGED_PLACES
            reached[2:] = np.maximum(reached[2:], before[:-2] + both)
        row = np.maximum.accumulate(reached + step * columns) - step * columns
        back[job + 1] = np.where(left_over >= paired - 1e-9, _LEFT_OVER, _PAIR)
        back[job + 1][reached > np.maximum(paired, left_over)] = _CROSSWISE
        skipped = np.concatenate([[False], row[:-1] - step >= reached[1:] - 1e-9])
        back[job + 1][skipped] = _SKIPPED
        before, best = best, row
    partner = np.full(a, -1, dtype=np.int64)
    # What comes after a run in progress costs nothing; of equal ends the earliest is where it is.
    job, other = a, b if ended else int(np.argmax(best >= best.max() - 1e-9))
    while job > 0:
        came_from = back[job, other]
        if came_from == _SKIPPED:
            other -= 1
        elif came_from == _CROSSWISE:
            job, other = job - 2, other - 2
            partner[job], partner[job + 1] = other + 1, other
        else:
            job -= 1
            if came_from == _PAIR:
                other -= 1
                partner[job] = other
    return partner


def _swap(partner: Ints, alike: Floats, limit: int, equal: float, groups: Sequence[int]) -> None:
    """Pair neighbours that changed places, in place: equal jobs crosswise, then what is left over.

    Args:
        limit: Behind it, others are still to come.
        equal: Similarity from which on jobs are taken for equal.
        groups: Of the run's jobs, (A,): between them, only what is equal changes places.
    """
    unequal = [job for job in range(len(partner)) if partner[job] < 0 or alike[job, partner[job]] < 1.0]
    for _ in range(2):
        for at, one in enumerate(unequal):
            for other in unequal[at + 1 :]:
                if other - one > NEIGHBOURS:
                    break
                best = max(alike[one, partner[other]], alike[other, partner[one]])
                if best == 1.0 or (best >= equal and groups[one] == groups[other]):
                    _cross(partner, alike, one, other, equal)
    free = sorted(set(range(alike.shape[1])) - set(partner.tolist()))
    limit, last = min(limit, alike.shape[1] - 1), -1
    for job in range(len(partner)):
        if partner[job] >= 0:
            last = max(last, int(partner[job]))
            continue
        reach = _reach(alike[job], limit)
        near = [
            each for each in free if (abs(each - last - 1) <= NEIGHBOURS and each <= limit) or each == reach
        ]
        found = max(near, key=lambda each: (alike[job, each], -each), default=None)
        if found is not None and alike[job, found] >= LEAST_ALIKE:
            partner[job] = found
            free.remove(found)


def _reach(alike: Floats, limit: int) -> int:
    """The first equal job behind a limit, if all up to it are alike; otherwise -1.

    Args:
        alike: Similarities of one job to the others, (B,).
    """
    for other in range(limit + 1, min(limit + 1 + NEIGHBOURS, len(alike))):
        if alike[other] == 1.0:
            return other
        if alike[other] < LEAST_ALIKE:
            break
    return -1


def _cross(partner: Ints, alike: Floats, one: int, other: int, equal: float) -> None:
    """Exchange the partners of two jobs where that makes an equal pair and loses none.

    Two that are as good where they are stay there, unless each is the very one that the other was taken for.
    """
    first, second = int(partner[one]), int(partner[other])
    if first < 0 or second < 0:
        return
    crosswise = (alike[one, second], alike[other, first])
    if min(alike[one, first], alike[other, second]) >= equal and sum(crosswise) < 2.0:
        return
    gained = sum(crosswise) - alike[one, first] - alike[other, second]
    least = 1e-9 if max(crosswise) == 1.0 else CHANGED_PLACES
    if min(crosswise) >= LEAST_ALIKE and gained > least:
        partner[one], partner[other] = second, first
