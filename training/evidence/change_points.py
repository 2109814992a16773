"""Change points: scale-outs from which on an application is faster by a jump, as when a cache begins to fit.

Smooth laws and Gaussian processes interpolate across a change point, and so promise just below it what only
holds above. A change point that explains the history clearly better than a straight line is therefore
learned as a step of the log runtime, common to all jobs; laws and similar runs see runtimes without
it. Where exactly the change point is differs from run to run. A run in progress shows on which side of its
own it is: one that is as slow as below the change point will probably be fast with more executors, which its
deviation alone would not tell.

Sources: Muggeo, Estimating regression models with unknown break-points, Statistics in Medicine 2003;
Kass and Raftery, Bayes Factors, JASA 1995; Hamilton, A New Approach to the Economic Analysis of
Nonstationary Time Series, Econometrica 1989 (hidden regimes).

Numpy only. Axes: R runs, J jobs, P pieces (a run at one scale-out), G places of a change point in ln x.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from training.evidence.similarity import log_size
from training.evidence.table import Evidence
from training.statistics.arrays import Floats, Ints

MIN_JUMP = 0.4
"""Log, a third of the runtime: less may be noise, and smooth curves follow it well enough."""

STRONG_EVIDENCE = float(np.log(10.0))
"""Log likelihood that a change point has to gain: a Bayes factor of ten counts as strong evidence."""

MIN_RUNS_PER_SIDE = 3
"""On either side."""

CHANGE_POINT_DISTANCE = 1.0
"""In ln x, that a change point counts between runs on its two sides."""

CHANGE_POINT_WIDTHS = (0.015, 0.04, 0.1)
"""Choices for how much the change point moves between runs: scales of a logistic distribution of ln x."""

LOGISTIC_VARIANCE = float(np.pi**2 / 3)
"""Of the logistic distribution with scale 1."""

SMALL_ERROR = 0.05
"""Log; errors below count as equally small, so that reweighting stays finite."""

SHORT_PIECE = 0.1
"""Share of a run at which what a piece shows is half as sure as a whole run."""

STRAY = 0.02
"""Density of pieces that neither side explains: no single one may be proof."""

USUAL_SLOPE, SLOPE_RUNS = -0.3, 0.5
"""Of log runtimes over ln x, and how many runs, one apart in ln x, that belief counts for."""

USUAL_SIZE_EXPONENT = 0.8
"""Of the runtime over the data size, before the history has its say."""


class ChangePoint(NamedTuple):
    """Change point of an application: where runtimes jump, by how much, and the usual below. All are logs."""

    log_scale_out: float = 0.0
    """ln x of the median run's change point."""
    jump: float = 0.0
    """Log runtime that is added above it; not positive, 0 for no change point."""
    width: float = CHANGE_POINT_WIDTHS[0]
    level: float = 0.0
    """Log of measured over usual seconds below the change point, at ln x = 0."""
    slope: float = 0.0
    """Exponent of that ratio over ln x."""
    mean_deviation: float = 0.2
    """Mean absolute deviation of runs from what is usual on their side."""


NO_CHANGE_POINT = ChangePoint()


class OwnChangePoint(NamedTuple):
    """Posterior distribution of where one run's own change point is."""

    change_point: ChangePoint
    log_scale_outs: Floats
    """ln x, ascending, (G,); the change point lies at one of them."""
    weights: Floats
    """Their probabilities, (G,)."""

    def below(self, log_scale_out: Floats) -> Floats:
        """Probability that the run is below its change point at ln x, of the same shape; 0 without one."""
        if not self.change_point.jump:
            return np.zeros_like(log_scale_out)
        total = np.concatenate([np.cumsum(self.weights[::-1])[::-1], [0.0]])
        probability = total[np.searchsorted(self.log_scale_outs, log_scale_out, side="right")]
        return np.asarray(np.clip(probability, 0.0, 1.0))

    def shift(self, log_scale_out: Floats) -> Floats:
        """Expected log runtime beyond that below the change point, at ln x; 0 to `jump`."""
        return np.asarray(self.change_point.jump * (1.0 - self.below(log_scale_out)))

    def distance(self, log_scale_out: Floats) -> Floats:
        """Coordinate in which the two sides of the change point are apart, in units of ln x."""
        return np.asarray(
            CHANGE_POINT_DISTANCE * (1.0 - self.below(log_scale_out)) * (self.change_point.jump < 0)
        )

    def std(self, log_scale_out: Floats) -> Floats:
        """Standard deviation of the log runtime by not knowing the side of the change point, at ln x."""
        below = self.below(log_scale_out)
        return np.asarray(np.abs(self.change_point.jump) * np.sqrt(below * (1.0 - below)))


class Pieces(NamedTuple):
    """Pieces of runs, each at one scale-out; (P,) each."""

    log_scale_out: Floats
    """ln x of the piece."""
    ratio: Floats
    """Log of measured over usual seconds of its jobs."""
    share: Floats
    """Share of a usual run's seconds."""
    run: Ints


def find_change_point(evidence: Evidence) -> ChangePoint:
    """The change point of a history, if it has one.

    Two straight lines with a common slope and a step between them have to explain how long runs
    took, at the scale-outs they had, better than one line by what the search for the step costs.
    Errors count absolutely, so that single failed runs count little.

    Returns:
        `NO_CHANGE_POINT` with fewer than six runs, or where one line does as well.
    Source: Muggeo, Statistics in Medicine 2003; Kass and Raftery, JASA 1995, for what counts as evidence.
    """
    pieces = pieces_of(evidence, usual_seconds(evidence))
    runs = len(np.unique(pieces.run))
    if runs < 2 * MIN_RUNS_PER_SIDE:
        return NO_CHANGE_POINT
    straight, _ = _misfit(
        pieces, np.zeros((len(pieces.log_scale_out), 0)), believed=0.0
    )  # as steep as it likes
    best, lowest = NO_CHANGE_POINT, np.inf
    log_scale_outs = np.unique(np.round(pieces.log_scale_out, 6))
    for threshold in 0.5 * (log_scale_outs[1:] + log_scale_outs[:-1]):
        above = pieces.log_scale_out >= threshold
        if min(len(np.unique(pieces.run[above])), len(np.unique(pieces.run[~above]))) < MIN_RUNS_PER_SIDE:
            continue
        misfit, (level, slope, jump) = _misfit(pieces, above.astype(np.float64)[:, None])
        if misfit < lowest:
            mean_deviation = max(misfit / float(pieces.share.sum()), SMALL_ERROR)
            lowest, best = (
                misfit,
                ChangePoint(float(threshold), jump, CHANGE_POINT_WIDTHS[0], level, slope, mean_deviation),
            )
    # Log likelihood of Laplace errors is -n ln(misfit).
    if best.jump > -MIN_JUMP or runs * np.log(straight / max(lowest, 1e-12)) < STRONG_EVIDENCE:
        return NO_CHANGE_POINT
    return _averaged(
        [
            best._replace(log_scale_out=float(p), width=w)
            for p in _around(best.log_scale_out)
            for w in CHANGE_POINT_WIDTHS
        ],
        pieces,
    )


def usual_seconds(evidence: Evidence) -> Floats:
    """Median runtime of each job as if the data size were 1 MB, (J,); 0 for jobs that never ran."""
    columns = [column[np.isfinite(column)] for column in _without_size(evidence).T]
    return np.array([float(np.exp(np.median(column))) if len(column) else 0.0 for column in columns])


def pieces_of(evidence: Evidence, usual: Floats) -> Pieces:
    """Cut runs into pieces of one scale-out each; jobs during which it changed are left out.

    Args:
        usual: Usual seconds of each job, (J,); jobs with 0 are left out.
    """
    steady = evidence.start_scale_out == evidence.end_scale_out
    log_x = np.where(steady, np.log(evidence.end_scale_out), np.nan)
    rows: list[tuple[float, float, float, int]] = []
    for run, (log_scale_out, measured) in enumerate(zip(log_x, _without_size(evidence), strict=True)):
        comparable = np.isfinite(log_scale_out) & np.isfinite(measured) & (usual > 0)
        for value in np.unique(np.round(log_scale_out[comparable], 6)):
            here = comparable & (np.abs(log_scale_out - value) < 1e-5)
            seconds = float(usual[here].sum())
            ratio = float(np.log(np.exp(measured[here]).sum() / seconds))
            rows.append((float(value), ratio, seconds / float(usual.sum()), run))
    table = np.array(rows).reshape(-1, 4)
    return Pieces(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.int64))


def own_change_points(
    change_point: ChangePoint, evidence: Evidence, usual: Floats, until: int | None = None
) -> list[OwnChangePoint]:
    """Narrow down each run's own change point by how long its jobs took.

    Args:
        evidence: Table of the runs, (R,).
        usual: As `usual_seconds` has them, (J,).
        until: Position of the first job that does not count; None: all count.
    Returns:
        One per run; all alike where the history has no change point.
    Source: Hamilton, Econometrica 1989 (hidden regimes).
    """
    log_scale_outs = _around(change_point.log_scale_out) if change_point.jump else np.zeros(1)
    steps = 1.0 / (
        1.0
        + np.exp(
            (log_scale_outs[:-1] + np.diff(log_scale_outs) / 2 - change_point.log_scale_out)
            / change_point.width
        )
    )
    prior = -np.diff(np.concatenate([[1.0], steps, [0.0]]))
    runs = len(evidence.contexts)
    if not change_point.jump:
        return [OwnChangePoint(change_point, log_scale_outs, prior)] * runs
    if until is not None:
        seen = np.where(np.arange(len(usual)) < until, evidence.log_job_runtime, np.nan)
    else:
        seen = evidence.log_job_runtime
    pieces = pieces_of(replace(evidence, log_job_runtime=seen), usual)
    slow, fast = _densities(change_point, pieces)
    is_below = pieces.log_scale_out[:, None] < log_scale_outs  # (P, G)
    log_weight = np.where(is_below, np.log(slow)[:, None], np.log(fast)[:, None])
    posteriors = []
    for run in range(runs):
        weight = np.log(np.maximum(prior, 1e-12)) + log_weight[pieces.run == run].sum(axis=0)
        weight = np.exp(weight - weight.max())
        posteriors.append(OwnChangePoint(change_point, log_scale_outs, weight / weight.sum()))
    return posteriors


def _densities(change_point: ChangePoint, pieces: Pieces) -> tuple[Floats, Floats]:
    """Likelihoods of each piece below and above the change point, (P,) both."""
    expected = change_point.level + change_point.slope * pieces.log_scale_out
    scale = change_point.mean_deviation * (1.0 + SHORT_PIECE / np.maximum(pieces.share, 1e-6))

    def density(shift: float) -> Floats:
        deviation = np.abs(pieces.ratio - expected - shift)
        return np.asarray(np.exp(-deviation / scale) / (2.0 * scale) + STRAY)

    return density(0.0), density(change_point.jump)


def _averaged(choices: Sequence[ChangePoint], pieces: Pieces) -> ChangePoint:
    """Mean and variance of all choices by their likelihood as one change point: few runs leave it open."""
    weights = np.array([_likelihood(choice, pieces) for choice in choices])
    weights = np.exp(weights - weights.max())
    log_scale_outs, widths = (
        np.array([choice.log_scale_out for choice in choices]),
        np.array([c.width for c in choices]),
    )
    log_scale_out = float(np.average(log_scale_outs, weights=weights))
    variance = np.average(
        (log_scale_outs - log_scale_out) ** 2 + LOGISTIC_VARIANCE * widths**2, weights=weights
    )
    return choices[0]._replace(
        log_scale_out=log_scale_out, width=float(np.sqrt(variance / LOGISTIC_VARIANCE))
    )


def _likelihood(change_point: ChangePoint, pieces: Pieces) -> float:
    slow, fast = _densities(change_point, pieces)
    below = 1.0 / (
        1.0
        + np.exp(np.clip((pieces.log_scale_out - change_point.log_scale_out) / change_point.width, -50, 50))
    )
    return float((pieces.share * np.log(below * slow + (1.0 - below) * fast)).sum())


def _around(log_scale_out: float) -> Floats:
    """Scale-outs (ln x) at which a run's change point may be: between a half and twice the scale-out, in
    steps of 2%."""
    return np.asarray(log_scale_out + np.arange(-35, 36) * 0.02)


def _without_size(evidence: Evidence) -> Floats:
    sizes = np.array([log_size(context) for context in evidence.contexts])
    return np.asarray(evidence.log_job_runtime - USUAL_SIZE_EXPONENT * sizes[:, None])


def _misfit(pieces: Pieces, steps: Floats, believed: float = SLOPE_RUNS) -> tuple[float, tuple[float, ...]]:
    """Weighted absolute error of the best line with these steps; its level, slope and steps."""
    middle = float(np.average(pieces.log_scale_out, weights=pieces.share))
    design = np.column_stack([np.ones_like(pieces.log_scale_out), pieces.log_scale_out - middle, steps])
    usual = np.array([0.0, USUAL_SLOPE, *[0.0] * steps.shape[1]])
    belief = np.diag([1e-6, believed + 1e-6, *[1e-6] * steps.shape[1]])
    robust = np.ones_like(pieces.log_scale_out)
    for _ in range(12):
        scaled = (pieces.share * robust)[:, None] * design
        coefficients = np.linalg.solve(scaled.T @ design + belief, scaled.T @ pieces.ratio + belief @ usual)
        error = np.abs(pieces.ratio - design @ coefficients)
        robust = SMALL_ERROR / np.maximum(error, SMALL_ERROR)
    level, slope, *jumps = map(float, coefficients)
    return float((pieces.share * error).sum()), (level - slope * middle, slope, *jumps)
