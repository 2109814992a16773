"""How sure forecasts of remaining runtimes are: what runs left out were off by, near a cut and a scale-out.

Runs are late by more than they are early: an executor is lost, a node is slow, data has grown, and
nothing of the like makes a run fast. The two sides are therefore measured apart. Where on the way a run
is, and with how many executors it goes on, say how large errors usually are; how much larger than usual
they get is counted over all runs, as few of them as there are. Errors near a cut and a scale-out alone
would be too few to tell: the largest of them would nearly always be the answer (split conformal
prediction with normalized errors: no shape is assumed beyond a normal distribution of the log on either
side).

Sources: Angelopoulos and Bates, A Gentle Introduction to Conformal Prediction, arXiv:2107.07511; Lei et
al., Distribution-Free Predictive Inference for Regression, arXiv:1604.04173, section 5.2 (normalized errors).

Numpy only. Axes: P samples (a run at a cut), S schedules, R runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from training.statistics.arrays import Floats, Ints

LATE_SHARE, EARLY_SHARE = 0.95, 0.9
"""Of left-out errors, up to which spreads are read. Late runs as far out as intervals of 90% end: what is
further out decides whether targets are met, and less of it would promise too much. Hardly a run is early."""

LATE_END, EARLY_END = 1.645, 1.2816
"""Where these shares end, in standard deviations of a normal distribution."""

INTERVAL, INTERVAL_END = 0.9, 1.645
"""The same of both sides together."""

LATE_RUNS, EARLY_RUNS = 1.5, 0.5
"""Runs more than there are that are taken to have been far off, on the late and on the early side."""

NEIGHBOUR_CUTS = 1 / 5
"""Width, as a share of all jobs, within which errors at other cuts say how large they usually are."""

OTHER_CUTS = 1e-3
"""What errors at all others count: where no cut is near, all of them speak."""

NEIGHBOUR_WIDTH = 0.3
"""In ln x, the same of scale-outs."""

OTHER_RUNS = 4.0
"""Runs that the usual error at any scale-out counts for, beside those near a candidate's."""

LARGEST = 3.0
"""Median errors, in standard deviations, that one counts for at most in what is usual: a single stall
says nothing of other runs."""

ALIKE_CUTS, ALIKE_FLOOR = 1 / 4, 0.01
"""Width, as a share of all jobs, within which cuts are alike in how far errors get beyond the usual; and
what all others count."""

STALL_FLOOR = 0.05
"""What a stall counts however far away its scale-out is: where no run is near, all of them speak."""

LOG_ERROR_FLOOR = 0.03
"""Standard deviation of log remaining runtime below which no forecast claims to be."""

MAX_LOG_ERROR_STD = 1.5

STALL_STDS, STALL_LOG = 3.0, 0.2
"""A run that took longer than forecast by both, in usual errors and in log, has stalled: an executor
was lost, a node was slow."""


@dataclass(frozen=True)
class LeftOutErrors:
    """What forecasts of left-out runs were off by, and where; (P,) each."""

    error: Floats
    """Log of forecast over measured."""
    cut: Ints
    """Position of the last job that was known, -1 for none."""
    place: Floats
    """Mean ln x of what followed, weighted by usual seconds."""
    run: Ints
    jobs: int
    """Of a run."""

    @cached_property
    def runs(self) -> int:
        return len(np.unique(self.run))

    @cached_property
    def late(self) -> Floats:
        """Log of measured over forecast, over what is usual near it for all runs but its own, (P,)."""
        usual = np.ones(len(self.error))
        for cut in np.unique(self.cut):
            here = self.cut == cut
            usual[here] = self.usual(int(cut), self.place[here], self.run[here])
        return np.asarray(-self.error / usual)

    def usual(self, cut: int, places: Floats, without: Ints | None = None) -> Floats:
        """Root mean square of errors at a cut and near places (S,), (S,).

        Args:
            without: Run that is left out for each of them, (S,).
        """
        by_cut = self.by_cut(cut, NEIGHBOUR_CUTS)
        near = by_cut * self.by_place(places)
        everywhere = np.broadcast_to(by_cut, near.shape)
        if without is not None and self.runs > 1:
            others = self.run != without[:, None]
            near, everywhere = near * others, everywhere * others
        belief = OTHER_RUNS * by_cut.sum() / self.runs
        overall = everywhere @ self._squares / everywhere.sum(axis=1)
        mean = (near @ self._squares + belief * overall) / (near.sum(axis=1) + belief)
        return np.asarray(np.maximum(np.sqrt(mean), LOG_ERROR_FLOOR))

    def by_cut(self, cut: int, width: float, floor: float = OTHER_CUTS) -> Floats:
        """How near samples are to a cut, (P,); the width is a share of all jobs."""
        return _near_cut(self.cut - cut, width, self.jobs) + floor

    def by_place(self, places: Floats) -> Floats:
        """How near samples are to places (S,), (S, P)."""
        return np.asarray(np.exp(-0.5 * ((places[:, None] - self.place) / NEIGHBOUR_WIDTH) ** 2))

    @cached_property
    def typical(self) -> float:
        """Standard deviation by the median error, which single runs do not move."""
        return float(np.median(np.abs(self.error))) / 0.6745

    @cached_property
    def _squares(self) -> Floats:
        limit = LARGEST * max(self.typical, LOG_ERROR_FLOOR)
        return np.asarray(np.minimum(np.abs(self.error), limit) ** 2)


class Spread(NamedTuple):
    """How far the log of a remaining runtime lies from the forecast: standard deviations of its two sides."""

    log_std: float
    """Of runs that take longer."""
    early_log_std: float
    """Of runs that take less."""
    avoidable_log_std: float
    """As the first, without stalls that befall runs at every scale-out alike."""


class Trust(NamedTuple):
    """What left-out runs say of joint forecasts."""

    share: float
    """Weight of similar runs where earlier runs are near, 0 to 1."""
    log_error_stds: tuple[float, ...]
    """Standard deviation of log measured over predicted, after each job (the first: before the run)."""


def even_spread(log_std: float) -> Spread:
    """The same to both sides, no stalls told apart."""
    return Spread(log_std, log_std, log_std)


class Spreads(NamedTuple):
    """The same of several schedules, (S,) each."""

    log_std: Floats
    early_log_std: Floats
    avoidable_log_std: Floats

    def widened(self, beyond: Floats) -> "Spreads":
        """At schedules away from all runs.

        Args:
            beyond: Standard deviation that the distance adds, (S,).
        """
        return Spreads(*(np.minimum(np.hypot(side, beyond), MAX_LOG_ERROR_STD) for side in self))

    def each(self) -> tuple[Spread, ...]:
        return tuple(Spread(*sides) for sides in zip(*(side.tolist() for side in self), strict=True))


def local_spread(left_out: LeftOutErrors, cut: int, places: Floats) -> Spreads:
    """Standard deviations whose 90% intervals cover left-out errors near a cut and places.

    As if some more runs had been far off: where few runs say how sure a forecast is, it is less sure.

    Stalls are told apart from what usually happens: as many of them as there are with the most executors
    would have been there with any scale-out.

    Args:
        cut: Position of the last finished job, -1 before the run.
        places: Mean ln x of what follows, (S,).
    """
    usual = left_out.usual(cut, places)
    common = _common_stalls(left_out, cut, float(places.max()))
    level, early_level = (
        np.array([min(share * (1.0 + more / left_out.runs), 1.0)])
        for share, more in ((LATE_SHARE, LATE_RUNS), (EARLY_SHARE, EARLY_RUNS))
    )
    weights = left_out.by_cut(cut, ALIKE_CUTS, ALIKE_FLOOR)[None]
    ahead, avoidable = _quantiles(left_out.late, weights, (level, level * (1.0 - common)))
    (behind,) = _quantiles(-left_out.late, weights, (early_level,))

    def std(times: Floats, end: float) -> Floats:
        return np.asarray(np.maximum(usual * times / end, LOG_ERROR_FLOOR))

    return Spreads(std(ahead, LATE_END), std(behind, EARLY_END), std(avoidable, LATE_END))


def _common_stalls(left_out: LeftOutErrors, cut: int, largest: float) -> float:
    """Share of runs that stall whatever they have: near the largest place, but no more than everywhere.

    More executors make no run stall. That there are more stalls at the largest scale-outs is because
    runs that are late are given those.
    """
    stalled = -left_out.error > max(STALL_STDS * left_out.typical, STALL_LOG)
    by_cut = left_out.by_cut(cut, NEIGHBOUR_CUTS)
    near = by_cut * (left_out.by_place(np.array([largest]))[0] + STALL_FLOOR)
    return min(float(np.average(stalled, weights=weights)) for weights in (near, by_cut))


def _near_cut(gap: Ints, width: float, jobs: int) -> Floats:
    """1 for no gap between cuts, less with more of it; the width is a share of all jobs."""
    return np.asarray(np.exp(-0.5 * (gap / max(width * jobs, 1.0)) ** 2))


def _quantiles(values: Floats, weights: Floats, levels: Sequence[Floats]) -> list[Floats]:
    """Of values (P,) by weights (S, P), per levels (S,): below which these shares of them are, (S,)."""
    order = np.argsort(values)
    total = np.cumsum(weights[:, order], axis=1)
    passed = [(total < (level * total[:, -1])[:, None] - 1e-12).sum(axis=1) for level in levels]
    return [values[order][np.minimum(at, len(order) - 1)] for at in passed]


def interval_std(errors: Floats) -> float:
    """Standard deviation whose 90% interval holds nine in ten errors (N,), and one more, far off."""
    level = min(INTERVAL * (1.0 + 1.0 / len(errors)), 1.0)
    return float(np.quantile(np.abs(errors), level, method="higher")) / INTERVAL_END


def error_stds(errors: Floats, cut_of: Ints, jobs: int, runs: int) -> tuple[float, ...]:
    """The same before and after each job: errors at nearby cuts count, too, and the more is a run."""
    weights = _near_cut(cut_of + 1 - np.arange(jobs)[:, None], NEIGHBOUR_CUTS, jobs) + OTHER_CUTS
    level = np.full(jobs, min(INTERVAL * (1.0 + 1.0 / max(runs, 1)), 1.0))
    (found,) = _quantiles(np.abs(errors), weights, (level,))
    return tuple(np.maximum(found / INTERVAL_END, LOG_ERROR_FLOOR).tolist())
