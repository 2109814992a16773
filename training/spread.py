"""How sure forecasts of the rest of a run are: what runs left out were off by, near a cut and a scale-out.

Runs are late by more than they are early: an executor is lost, a node is slow, data has grown, and
nothing of the like makes a run fast. The two sides are therefore measured apart, each by the error that
one left-out forecast in ten exceeds (split conformal prediction: no shape of the errors is assumed
beyond a normal distribution of the log on either side). One in twenty, where 90% intervals end, would be
the largest error of all in most histories.

Source: Angelopoulos and Bates, A Gentle Introduction to Conformal Prediction, arXiv:2107.07511.

Numpy only. Axes: P samples (a run at a cut), S schedules.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.features import Floats, Ints

COVERED = 0.9
ONE_SIDED, TWO_SIDED = 1.2816, 1.645
"""Share of left-out errors that spreads are measured by, and where it ends in standard deviations: on one
side, and on both."""

NEIGHBOUR_CUTS = 1 / 8
"""Width, as a share of all jobs, within which errors at other cuts count for a cut."""

NEIGHBOUR_WIDTH = 0.2
"""In ln x, within which errors at other scale-outs count for a candidate."""

NEIGHBOUR_FLOOR = 0.05
"""What an error counts however far away it is: where no run is near, all of them speak."""

MIN_SLOWNESS, SLOWNESS_FLOOR = 0.03, 0.1
"""Errors count of runs that had gone as this one, within what runs usually deviate by up to a cut, and at
least the first; and what the others count. Who is given which scale-out answers to how it went: without
this, runs that are late would make the largest scale-outs look unsure to all."""

EARLY_RUN = 0.5
"""Of the one more run that is taken to have been far off: hardly any is on the early side."""

LOG_ERROR_FLOOR = 0.03
"""Standard deviation of log remaining runtime below which no forecast claims to be."""

MAX_LOG_ERROR_STD = 1.5

STALL_STDS, STALL_LOG = 3.0, 0.2
"""A run that took longer than forecast by both, in usual errors and in log, has stalled: an executor
was lost, a node was slow."""

STALL_QUANTILES = (0.125, 0.375, 0.625, 0.875)
"""Of the sizes of stalls, what is passed on."""


class LeftOutErrors(NamedTuple):
    """What forecasts of left-out runs were off by, and where."""

    error: Floats
    """Log of forecast over measured, in units of how unusual the run was, (P,)."""
    cut: Ints
    """Position of the last job that was known, -1 for none, (P,)."""
    place: Floats
    """Mean ln x of what followed, weighted by usual seconds, (P,)."""
    run: Ints
    """(P,)"""
    slowness: Floats | None = None
    """How much slower than expected the run had been so far, in log, (P,); None: not known."""


class Spread(NamedTuple):
    """How far the log of a remaining runtime lies from the forecast: standard deviations of its two sides."""

    log_std: float
    """Of runs that take longer."""
    early_log_std: float
    """Of runs that take less."""
    avoidable_log_std: float
    """As the first, without stalls that befall runs at every scale-out alike."""
    stalls: tuple[float, ...] = ()
    """By how much those delay a run, in log: equally likely sizes, ascending; empty without stalls."""


def even_spread(log_std: float) -> Spread:
    """The same to both sides, no stalls told apart."""
    return Spread(log_std, log_std, log_std)


class Spreads(NamedTuple):
    """The same of several schedules, (S,) each."""

    log_std: Floats
    early_log_std: Floats
    avoidable_log_std: Floats
    stalls: tuple[float, ...] = ()

    def widened(self, unusual: float, beyond: Floats) -> "Spreads":
        """Of a run that has deviated more than others, by a factor, and at schedules away from all runs.

        Args:
            beyond: Standard deviation that the distance adds, (S,).
        """
        late, early, avoidable = (
            np.asarray(np.minimum(np.hypot(unusual * side, beyond), MAX_LOG_ERROR_STD))
            for side in (self.log_std, self.early_log_std, self.avoidable_log_std)
        )
        return Spreads(late, early, avoidable, tuple(unusual * size for size in self.stalls))

    def each(self) -> tuple[Spread, ...]:
        columns = (self.log_std.tolist(), self.early_log_std.tolist(), self.avoidable_log_std.tolist())
        return tuple(Spread(*sides, self.stalls) for sides in zip(*columns, strict=True))


def local_spread(
    left_out: LeftOutErrors, cut: int, places: Floats, jobs: int, slowness: float = 0.0
) -> Spreads:
    """Standard deviations whose 90% intervals cover left-out errors near a cut and places.

    As if one more run had been far off, among as many as there are near: where few runs say how sure a
    forecast is, it is less sure.

    Stalls are told apart from what usually happens: as many of them as there are at the place with the
    fewest would have been there with any scale-out.

    Args:
        cut: Position of the last finished job, -1 before the run.
        places: Mean ln x of what follows, (S,).
        jobs: Of a run.
        slowness: How much slower than expected the run has been so far, in log.
    """
    gap = (left_out.cut - cut) / max(NEIGHBOUR_CUTS * jobs, 1.0)
    by_cut = np.exp(-0.5 * gap**2) + 1e-3
    by_place = np.exp(-0.5 * ((places[:, None] - left_out.place) / NEIGHBOUR_WIDTH) ** 2) + NEIGHBOUR_FLOOR
    weights = by_cut * by_place
    if left_out.slowness is not None and cut >= 0:
        width = max(float(np.average(np.abs(left_out.slowness), weights=by_cut)), MIN_SLOWNESS)
        alike = np.exp(-0.5 * ((left_out.slowness - slowness) / width) ** 2)
        weights = weights * (alike + SLOWNESS_FLOOR)
    member = left_out.run[:, None] == np.arange(left_out.run.max() + 1)
    of_run = weights @ member
    runs = of_run.sum(axis=1) ** 2 / np.maximum((of_run**2).sum(axis=1), 1e-12)
    level, early_level = (np.minimum(COVERED * (1.0 + more / runs), 1.0) for more in (1.0, EARLY_RUN))
    late = -left_out.error
    usual = float(np.median(np.abs(late))) / 0.6745
    stalled = late > max(STALL_STDS * usual, STALL_LOG)
    common = float((weights @ stalled / weights.sum(axis=1)).min()) if stalled.any() else 0.0
    ahead, avoidable = _stds(late, weights, (level, level * (1.0 - common)), ONE_SIDED)
    (behind,) = _stds(-late, weights, (early_level,), ONE_SIDED)
    if not common:
        return Spreads(ahead, behind, avoidable)
    sizes = np.sort(late[stalled])
    passed = np.cumsum(by_cut[stalled][np.argsort(late[stalled])])
    found = sizes[np.searchsorted(passed, np.array(STALL_QUANTILES) * passed[-1])]
    return Spreads(ahead, behind, avoidable, tuple(map(float, found)))


def _stds(errors: Floats, weights: Floats, levels: Sequence[Floats], end: float) -> list[Floats]:
    """Standard deviations (S,), per levels (S,): errors (P,), by weights (S, P), stay below `end` of them."""
    order = np.argsort(errors)
    total = np.cumsum(weights[:, order], axis=1)
    passed = [(total < (level * total[:, -1])[:, None] - 1e-12).sum(axis=1) for level in levels]
    found = [errors[order][np.minimum(at, len(order) - 1)] / end for at in passed]
    return [np.asarray(np.maximum(std, LOG_ERROR_FLOOR)) for std in found]


def error_stds(errors: Floats, cut_of: Ints, jobs: int, runs: int) -> tuple[float, ...]:
    """Standard deviations whose 90% intervals cover 90% of left-out errors, before and after each job.

    Errors at nearby cuts count, too. As many runs as there are say less than they seem to: the
    quantile that is read is raised as if one more run had been far off.
    """
    gap = (cut_of + 1 - np.arange(jobs)[:, None]) / max(NEIGHBOUR_CUTS * jobs, 1.0)
    weights = np.exp(-0.5 * gap**2) + 1e-3
    level = np.full(jobs, min(COVERED * (1.0 + 1.0 / max(runs, 1)), 1.0))
    (stds,) = _stds(np.abs(errors), weights, (level,), TWO_SIDED)
    return tuple(stds.tolist())
