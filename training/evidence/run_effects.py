"""Random effects of runs: what each was slower or faster by as a whole, taken out of steered histories.

A run that is slow by itself is given more executors. Histories of steered runs therefore show slow
runs at large scale-outs and fast ones at small scale-outs, and curves fitted to them say that executors
hardly help, or do harm. What a run was off by at all of its scale-outs is its own and none of theirs: it
is estimated from the pieces of runs at one scale-out each, a random effect per run beside a curve over
ln x, and subtracted before anything is learned of the scale-out. To stay is a
choice, too: once any run was rescaled, the effects of all runs count. Histories in which none was are
left as they are.

Sources: Henderson, Best linear unbiased estimation and prediction under a selection model, Biometrics
1975; Robins, Hernan and Brumback, Marginal structural models, Epidemiology 2000 (why treatments that
answer to the course of a patient mislead).

Numpy only. Axes: R runs, P pieces.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from training.evidence.change_points import Pieces, pieces_of, usual_seconds
from training.evidence.table import Evidence
from training.statistics.arrays import Floats
from training.statistics.kernels import matern

CURVE_LEVEL_VARIANCE, CURVE_SLOPE_VARIANCE, CURVE_LOCAL_VARIANCE, CURVE_WIDTH = 0.5, 1.0, 0.06, 0.4
"""Prior variances of the curve over ln x: of its level, its slope and what is local; width of the latter."""

STDS_BETWEEN_RUNS = (0.03, 0.06, 0.12, 0.25, 0.5)
STDS_WITHIN_RUNS = (0.03, 0.06, 0.12, 0.25, 0.5)
"""Choices for the standard deviations of log runtimes: of whole runs, and of a whole run's worth of jobs
within one. The likelihood decides: where runs do not go on as they began, there is little to subtract."""

PIECE_TAIL_FREEDOM = 4.0
"""Degrees of freedom of Student's t: one stalled piece says little of its run."""

MIN_PIECE_SHARE = 0.02
"""Share of a run below which a piece is no less sure."""


class RunEffects(NamedTuple):
    """Random effects of runs: log of how much slower than usual each was as a whole."""

    effect: Floats
    """(R,); 0 where no run of the history was rescaled."""
    noise_ratio: float
    """Share of a run's usual seconds after which half of its effect is known."""

    def unknown(self, finished: float) -> Floats:
        """Part of the effects that nobody could know when a share of a run had finished, (R,).

        Args:
            finished: Share of a run's usual seconds, 0 to 1.
        """
        share_known = finished * (1.0 + self.noise_ratio) / (finished + self.noise_ratio)
        return np.asarray(self.effect * (1.0 - min(share_known, 1.0)))


def estimate_run_effects(evidence: Evidence) -> RunEffects:
    """Estimate the random effect of every run; zeros where no run was rescaled.

    The standard deviations between and within runs are those of the highest likelihood; noise is
    Student's t by reweighting.
    """
    pieces = pieces_of(evidence, usual_seconds(evidence))
    runs = len(evidence.contexts)
    pieces_per_run = np.bincount(pieces.run, minlength=runs)
    moved = np.isfinite(evidence.end_scale_out) & (evidence.start_scale_out != evidence.end_scale_out)
    rescaled = (pieces_per_run > 1) | moved.any(axis=1)
    if not rescaled.any() or len(np.unique(pieces.run)) < 3:
        return RunEffects(np.zeros(runs), 1.0)
    same_run = (pieces.run[:, None] == pieces.run).astype(np.float64)
    curve = _curve_kernel(evidence, pieces)
    centred = pieces.ratio - np.median(pieces.ratio)
    share = np.maximum(pieces.share, MIN_PIECE_SHARE)
    best, ratio = -np.inf, 1.0
    effect: Floats = np.zeros(runs)
    for between, within in product(STDS_BETWEEN_RUNS, STDS_WITHIN_RUNS):
        noise: Floats = within**2 / share
        for _ in range(3):
            covariance = curve + between**2 * same_run + np.diag(noise)
            inverse = np.linalg.inv(covariance)
            alpha = inverse @ centred
            surprise = alpha**2 / np.diagonal(inverse)  # left-out errors, squared, in their variances
            trust = np.clip((PIECE_TAIL_FREEDOM + 1) / (PIECE_TAIL_FREEDOM + surprise), 0.02, 1.0)
            noise = np.asarray(within**2 / (share * trust))
        likelihood = -0.5 * float(centred @ alpha + np.linalg.slogdet(covariance)[1])
        if likelihood > best:
            best, ratio = likelihood, (within / between) ** 2
            effect = np.asarray(between**2 * np.bincount(pieces.run, weights=alpha, minlength=runs))
    return RunEffects(effect, ratio)


def _curve_kernel(evidence: Evidence, pieces: Pieces) -> Floats:
    """Covariances of the curve over ln x that runs in alike contexts share, (P, P)."""
    log_scale_out = pieces.log_scale_out - pieces.log_scale_out.mean()
    local = matern(np.abs(log_scale_out[:, None] - log_scale_out) / CURVE_WIDTH)
    kernel = (
        CURVE_LEVEL_VARIANCE
        + CURVE_SLOPE_VARIANCE * np.outer(log_scale_out, log_scale_out)
        + CURVE_LOCAL_VARIANCE * local
    )
    return np.asarray(evidence.similarities[np.ix_(pieces.run, pieces.run)] * kernel)
