"""How sure forecasts of remaining runtimes are: what runs left out were off by, near a cut and a scale-out.

Runs are late by more than they are early: an executor is lost, a node is slow, data has grown, and
nothing of the like makes a run fast. The two sides are therefore measured apart. Where on the way a run
is, with how many executors it goes on, and how late it is already, say how large errors usually are; how
much larger than usual they get is counted over all runs, as few of them as there are. Errors near a cut
and a scale-out alone would be too few to tell: the largest of them would nearly always be the answer
(split conformal prediction with normalized errors: no shape is assumed beyond a normal distribution of the
log on either side).

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
"""Shares of left-out errors up to which standard deviations are read. Late runs as far out as intervals of
90% end: what is further out decides whether targets are met, and less of it would promise too much. Hardly a
run is early."""

LATE_QUANTILE, EARLY_QUANTILE = 1.645, 1.2816
"""Where these shares end, in standard deviations of a normal distribution."""

INTERVAL_PROBABILITY, INTERVAL_QUANTILE = 0.9, 1.645
"""Share of errors on both sides together, and where it ends in standard deviations."""

LATE_RUNS, EARLY_RUNS = 1.5, 0.5
"""Runs more than there are that are taken to have been far off, on the late and on the early side."""

NEIGHBOUR_CUTS = 1 / 5
"""Width, as a share of all jobs, within which errors at other cuts say how large they usually are."""

OTHER_CUTS = 1e-3
"""What errors at all others count: where no cut is near, all of them speak."""

NEIGHBOUR_WIDTH = 0.3
"""Width in ln x within which errors at other scale-outs say how large they usually are."""

OTHER_RUNS = 4.0
"""Runs that the usual error at any scale-out counts for, beside those near a candidate's."""

USUAL_ERROR_LIMIT = 3.0
"""Median errors, in standard deviations, that one counts for at most in what is usual: a single stall
says nothing of other runs."""

LATENESS_WIDTH = 0.1
"""Width in log within which runs that were as late at a cut say how large errors of such runs usually are."""

LATENESS_RUNS = 2.0
"""Runs that all runs, however late, count for beside those."""

ALIKE_CUTS, ALIKE_FLOOR = 1 / 4, 0.01
"""Width, as a share of all jobs, within which cuts are alike in how far errors get beyond the usual; and
what all others count."""

STALL_FLOOR = 0.05
"""What a stall counts however far away its scale-out is: where no run is near, all of them speak."""

PREDICTIVE_STD_FLOOR = 0.03
"""Standard deviation of log remaining runtime below which no forecast claims to be."""

MAX_PREDICTIVE_STD = 1.5

STALL_STDS, STALL_LOG = 3.0, 0.2
"""A run that took longer than forecast by both, in usual errors and in log, has stalled: an executor
was lost, a node was slow."""


@dataclass(frozen=True)
class LeftOutErrors:
    """Errors of forecasts about runs left out, and where each was made; (P,) each."""

    error: Floats
    """Log of forecast over measured."""
    cut: Ints
    """Position of the last job that was known, -1 for none."""
    log_scale_out: Floats
    """Mean ln x of what followed, weighted by usual seconds."""
    run: Ints
    jobs: int
    """Number of jobs of a run."""
    lateness: Floats | None = None
    """How late the run was at the cut, as `lateness` says; None in models of before."""

    @cached_property
    def runs(self) -> int:
        """Number of distinct runs."""
        return len(np.unique(self.run))

    @cached_property
    def late(self) -> Floats:
        """Lateness: log of measured over forecast, in usual errors of all runs but its own, (P,)."""
        usual = np.ones(len(self.error))
        for cut in np.unique(self.cut):
            here = self.cut == cut
            lateness = None if self.lateness is None else self.lateness[here]
            usual[here] = self.usual(int(cut), self.log_scale_out[here], lateness, self.run[here])
        return np.asarray(-self.error / usual)

    def usual(
        self,
        cut: int,
        log_scale_outs: Floats,
        lateness: Floats | None = None,
        without: Ints | None = None,
    ) -> Floats:
        """Root mean square of errors at a cut and near scale-outs, (S,), of runs as late as this one.

        How much runs that are as late differ from all others is measured at all scale-outs together.

        Args:
            log_scale_outs: Mean ln x of what follows, (S,).
            lateness: Of the run in question up to the cut, (S,); None: not known, all runs count alike.
            without: Run that is left out for each of them, (S,).
        """
        by_cut = self.by_cut(cut, NEIGHBOUR_CUTS)
        near = by_cut * self.by_log_scale_out(log_scale_outs)
        everywhere = np.broadcast_to(by_cut, near.shape)
        if without is not None and self.runs > 1:
            others = self.run != without[:, None]
            near, everywhere = near * others, everywhere * others
        belief = OTHER_RUNS * by_cut.sum() / self.runs
        overall = everywhere @ self._squares / everywhere.sum(axis=1)
        mean = (near @ self._squares + belief * overall) / (near.sum(axis=1) + belief)
        if lateness is not None and self.lateness is not None:
            alike = everywhere * self._by_lateness(lateness[:, None] - self.lateness)
            belief = LATENESS_RUNS * by_cut.sum() / self.runs
            of_alike = (alike @ self._squares + belief * overall) / (alike.sum(axis=1) + belief)
            mean = mean * of_alike / np.maximum(overall, 1e-12)
        return np.asarray(np.maximum(np.sqrt(mean), PREDICTIVE_STD_FLOOR))

    def by_cut(self, cut: int, width: float, floor: float = OTHER_CUTS) -> Floats:
        """Weights of samples by how near they are to a cut, (P,); the width is a share of all jobs."""
        return _near_cut(self.cut - cut, width, self.jobs) + floor

    def by_log_scale_out(self, log_scale_outs: Floats) -> Floats:
        """Weights of samples by how near they are to scale-outs (S,), mean ln x of what follows; (S, P)."""
        return np.asarray(
            np.exp(-0.5 * ((log_scale_outs[:, None] - self.log_scale_out) / NEIGHBOUR_WIDTH) ** 2)
        )

    @staticmethod
    def _by_lateness(gap: Floats) -> Floats:
        """Weights of samples by how much later or less late they were."""
        return np.asarray(np.exp(-0.5 * (gap / LATENESS_WIDTH) ** 2))

    @cached_property
    def typical(self) -> float:
        """Standard deviation of all errors by their median size, which single runs do not move."""
        return float(np.median(np.abs(self.error))) / 0.6745

    @cached_property
    def _squares(self) -> Floats:
        limit = USUAL_ERROR_LIMIT * max(self.typical, PREDICTIVE_STD_FLOOR)
        return np.asarray(np.minimum(np.abs(self.error), limit) ** 2)


class PredictiveStd(NamedTuple):
    """Standard deviations of a log remaining runtime about its forecast, late and early side apart."""

    log_std: float
    """Standard deviation of runs that take longer."""
    early_log_std: float
    """Standard deviation of runs that take less."""
    avoidable_log_std: float
    """Standard deviation of runs that take longer, without stalls that befall every scale-out alike."""


class Trust(NamedTuple):
    """Trust in joint forecasts, by runs left out: weight of similar runs, and usual errors."""

    share: float
    """Weight of similar runs where earlier runs are near, 0 to 1."""
    log_error_stds: tuple[float, ...]
    """Standard deviation of log measured over predicted, after each job (the first: before the run)."""


def lateness(deviations: Floats, seconds: Floats, cuts: Ints) -> Floats:
    """Lateness of runs: log of the time that jobs up to a cut took over what was expected, (A,), at least 0.

    Jobs that took less than expected are no excuse: what stalls a run may do so again, however fast it is
    otherwise.

    Args:
        deviations: Of their jobs, log of measured over expected, (A, J).
        seconds: Usual ones of each job, (J,).
        cuts: Position of the last job that is known of each, -1 for none, (A,).
    """
    known = np.where(np.arange(len(seconds)) <= cuts[:, None], seconds, 0.0)
    lost = (np.maximum(np.expm1(deviations), 0.0) * known).sum(axis=1)
    return np.asarray(np.log1p(lost / np.maximum(known.sum(axis=1), 1e-9)))


def symmetric_std(log_std: float) -> PredictiveStd:
    """Equal standard deviations to both sides, no stalls told apart."""
    return PredictiveStd(log_std, log_std, log_std)


class PredictiveStds(NamedTuple):
    """Standard deviations of log remaining runtimes of several schedules, (S,) each."""

    log_std: Floats
    early_log_std: Floats
    avoidable_log_std: Floats

    def widened(self, beyond: Floats) -> "PredictiveStds":
        """Standard deviations of schedules away from all runs.

        Args:
            beyond: Standard deviation that the distance adds, (S,).
        """
        return PredictiveStds(*(np.minimum(np.hypot(side, beyond), MAX_PREDICTIVE_STD) for side in self))

    def each(self) -> tuple[PredictiveStd, ...]:
        """Standard deviations schedule by schedule."""
        return tuple(PredictiveStd(*sides) for sides in zip(*(side.tolist() for side in self), strict=True))


def local_predictive_stds(
    left_out: LeftOutErrors, cut: int, log_scale_outs: Floats, lateness: float | None = None
) -> PredictiveStds:
    """Standard deviations whose 90% intervals cover left-out errors near a cut and scale-outs.

    As if some more runs had been far off: where few runs say how sure a forecast is, it is less sure.

    Stalls are told apart from what usually happens: as many of them as there are with the most executors
    would have been there with any scale-out.

    Args:
        cut: Position of the last finished job, -1 before the run.
        log_scale_outs: Mean ln x of what follows, (S,).
        lateness: Of the run up to the cut, as in `LeftOutErrors`; None: not known.
    Source: Lei et al., arXiv:1604.04173, section 5.2 (errors over what is usual near them).
    """
    late_so_far = None if lateness is None else np.full(len(log_scale_outs), lateness)
    usual = left_out.usual(cut, log_scale_outs, late_so_far)
    common = _common_stalls(left_out, cut, float(log_scale_outs.max()))
    level, early_level = (
        np.array([min(share * (1.0 + more / left_out.runs), 1.0)])
        for share, more in ((LATE_SHARE, LATE_RUNS), (EARLY_SHARE, EARLY_RUNS))
    )
    weights = left_out.by_cut(cut, ALIKE_CUTS, ALIKE_FLOOR)[None]
    ahead, avoidable = _quantiles(left_out.late, weights, (level, level * (1.0 - common)))
    (behind,) = _quantiles(-left_out.late, weights, (early_level,))

    def std(times: Floats, quantile: float) -> Floats:
        return np.asarray(np.maximum(usual * times / quantile, PREDICTIVE_STD_FLOOR))

    return PredictiveStds(
        std(ahead, LATE_QUANTILE), std(behind, EARLY_QUANTILE), std(avoidable, LATE_QUANTILE)
    )


def _common_stalls(left_out: LeftOutErrors, cut: int, largest_log_scale_out: float) -> float:
    """Share of runs that stall whatever they have: near the largest scale-out, but no more than everywhere.

    More executors make no run stall. That there are more stalls at the largest scale-outs is because
    runs that are late are given those.
    """
    stalled = -left_out.error > max(STALL_STDS * left_out.typical, STALL_LOG)
    by_cut = left_out.by_cut(cut, NEIGHBOUR_CUTS)
    near = by_cut * (left_out.by_log_scale_out(np.array([largest_log_scale_out]))[0] + STALL_FLOOR)
    return min(float(np.average(stalled, weights=weights)) for weights in (near, by_cut))


def _near_cut(gap: Ints, width: float, jobs: int) -> Floats:
    """1 for no gap between cuts, less with more of it; the width is a share of all jobs."""
    return np.asarray(np.exp(-0.5 * (gap / max(width * jobs, 1.0)) ** 2))


def _quantiles(values: Floats, weights: Floats, levels: Sequence[Floats]) -> list[Floats]:
    """Weighted quantiles: values below which shares `levels` (S,) of values (P,) by weights (S, P) lie,
    (S,)."""
    order = np.argsort(values)
    total = np.cumsum(weights[:, order], axis=1)
    passed = [(total < (level * total[:, -1])[:, None] - 1e-12).sum(axis=1) for level in levels]
    return [values[order][np.minimum(at, len(order) - 1)] for at in passed]


def interval_std(errors: Floats) -> float:
    """Standard deviation whose 90% interval holds nine in ten errors (N,), and one more, far off.

    Source: Angelopoulos and Bates, arXiv:2107.07511, section 1 (split conformal prediction).
    """
    level = min(INTERVAL_PROBABILITY * (1.0 + 1.0 / len(errors)), 1.0)
    return float(np.quantile(np.abs(errors), level, method="higher")) / INTERVAL_QUANTILE


def error_stds(errors: Floats, cut_of: Ints, jobs: int, runs: int) -> tuple[float, ...]:
    """Standard deviations of log errors by cut: before the run and after each job but the last, (J,).

    Errors at nearby cuts count, too.

    Args:
        errors: Log of forecast over measured, (N,).
        cut_of: Position of the last job known to each, -1 for none, (N,).
        jobs: How many a run has.
        runs: How many runs there are; one more is taken to have been far off.
    """
    weights = _near_cut(cut_of + 1 - np.arange(jobs)[:, None], NEIGHBOUR_CUTS, jobs) + OTHER_CUTS
    level = np.full(jobs, min(INTERVAL_PROBABILITY * (1.0 + 1.0 / max(runs, 1)), 1.0))
    (quantiles,) = _quantiles(np.abs(errors), weights, (level,))
    return tuple(np.maximum(quantiles / INTERVAL_QUANTILE, PREDICTIVE_STD_FLOOR).tolist())
