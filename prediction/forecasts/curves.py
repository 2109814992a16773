"""Runtime over scale-out from a few points: Ernest's curve, and Bell's choice between two.

Sources: Venkataraman et al., Ernest: Efficient Performance Prediction for Large-Scale Advanced
Analytics, NSDI 2016; Thamsen et al., Selecting resources for distributed dataflow systems according
to runtime targets (Bell), IPCCC 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from prediction.forecasts.forecast import Forecast, nothing
from training.evidence.learned import learn_from
from training.evidence.place import place_of
from training.evidence.similarity import similarity
from training.evidence.table import Evidence, usable
from training.evidence.timing import timing
from training.history.values import JobRecord, RunContext, RunRecord
from training.statistics.arrays import Floats
from training.statistics.predictive_std import symmetric_std

UNVALIDATED_CURVE_LOG_STD = 0.3
"""Standard deviation of log remaining runtime that is claimed for fewer than three runs."""

CURVE_LOG_STD_FLOOR = 0.1
"""Curves do not see a run's own deviation: they are never surer than this."""


class Curve(Protocol):
    """Runtime over the scale-out, fitted to a few points."""

    def predict(self, scale_outs: ArrayLike) -> Floats:
        """Seconds at each scale-out, (X,)."""
        ...


@dataclass(frozen=True)
class ErnestCurve:
    """Ernest's curve a + b/x + c ln x + d x, seconds, with non-negative coefficients."""

    coefficients: tuple[float, float, float, float]

    def predict(self, scale_outs: ArrayLike) -> Floats:
        """Seconds at each scale-out, (X,)."""
        return np.asarray(_terms(_positive(scale_outs)) @ np.array(self.coefficients))


@dataclass(frozen=True)
class KernelCurve:
    """Local average of the measured runtimes over ln x; flat beyond them."""

    scale_outs: tuple[float, ...]
    runtimes: tuple[float, ...]
    width: float = 0.2
    """Width of the Gaussian kernel, in ln x."""

    def predict(self, scale_outs: ArrayLike) -> Floats:
        """Seconds at each scale-out, (X,)."""
        gap = np.log(_positive(scale_outs))[:, None] - np.log(np.array(self.scale_outs))
        distance = -0.5 * (gap / self.width) ** 2
        weight = np.exp(distance - distance.max(axis=1, keepdims=True))
        return np.asarray(weight @ np.array(self.runtimes) / weight.sum(axis=1))


def fit_ernest(scale_outs: ArrayLike, runtimes: ArrayLike) -> ErnestCurve:
    """Fit Ernest's curve by non-negative least squares.

    With fewer distinct scale-outs than terms, terms are left out, from the last: two points give
    a + b/x, one a constant.

    Args:
        scale_outs: Of the measurements, (P,), at least one.
        runtimes: Seconds, (P,).
    Raises:
        ValueError: No points, or not as many runtimes as scale-outs.
    """
    from scipy.optimize import nnls  # a worker's: the web process knows this module for its types

    x, y = _points(scale_outs, runtimes)
    used = min(len(np.unique(x)), 4)
    coefficients = np.zeros(4)
    try:
        coefficients[:used] = nnls(_terms(x)[:, :used], y)[0]
    except RuntimeError:  # it did not converge
        coefficients[:] = 0.0
    if not np.isfinite(coefficients).all() or not coefficients.any():
        coefficients = np.array([float(y.mean()), 0.0, 0.0, 0.0])
    a, b, c, d = map(float, coefficients)
    return ErnestCurve((a, b, c, d))


def fit_bell(scale_outs: ArrayLike, runtimes: ArrayLike) -> Curve:
    """Fit Ernest's curve and a kernel regression, and take whichever predicts left-out scale-outs better.

    Raises:
        ValueError: No points, or not as many runtimes as scale-outs.
    """
    x, y = _points(scale_outs, runtimes)
    kernel = KernelCurve(tuple(map(float, x)), tuple(map(float, y)))
    if len(np.unique(x)) < 3:
        return fit_ernest(x, y)
    ernest_error = kernel_error = 0.0
    for left_out in np.unique(x):
        others = x != left_out
        held = y[~others]
        ernest_error += float(np.abs(fit_ernest(x[others], y[others]).predict(x[~others]) - held).sum())
        part = KernelCurve(tuple(map(float, x[others])), tuple(map(float, y[others])))
        kernel_error += float(np.abs(part.predict(x[~others]) - held).sum())
    return kernel if kernel_error < ernest_error else fit_ernest(x, y)


def nearest_runs(runs: Sequence[RunRecord], context: RunContext) -> list[RunRecord]:
    """Runs in the contexts nearest to one: at least half as similar as the most similar."""
    near = similarity([run.context for run in runs], context)
    return [run for run, value in zip(runs, near, strict=True) if value >= 0.5 * near.max()]


def ernest_forecast(
    history: Sequence[RunRecord],
    after_job_id: int,
    candidates: Sequence[int],
    *,
    context: RunContext | None = None,
    finished: Sequence[JobRecord] = (),
) -> Forecast:
    """Forecast by Ernest's curve per job: the remaining jobs added up, with median times between them.

    Args:
        history: Earlier runs; those in the contexts nearest to `context` are used.
        after_job_id: Last finished job, -1 before the run.
        context: Of the run; the latest run's by default.
        finished: Jobs of the run so far.
    """
    candidates = tuple(candidates)
    runs = usable(history)
    if not runs:
        return nothing(candidates, "no earlier run has a finished job")
    if not candidates:
        return nothing(candidates, "there is no candidate scale-out")
    context = context or runs[-1].context
    evidence, _ = learn_from(nearest_runs(runs, context))
    place = place_of(evidence, RunRecord("", context, 0.0, tuple(finished)), after_job_id)
    if not place.ahead.any():
        return nothing(candidates, f"history knows no job after {after_job_id}")
    every_run = np.ones(len(evidence.contexts), dtype=bool)
    runtime = _job_runtimes(evidence, np.array(candidates, dtype=np.float64), every_run)
    remaining = timing(evidence, every_run).remaining(runtime, place.ahead)
    stds = np.hypot(_left_out_std(evidence), place.spread(remaining[:, 0]))
    return Forecast(
        job_ids=place.job_ids,
        candidates=candidates,
        remaining_seconds=tuple(tuple(map(float, row)) for row in remaining),
        predictive_stds=tuple(map(symmetric_std, stds.tolist())),
        note=place.note,
        seen_scale_out=max(run.most_executors for run in runs),
    )


def _job_runtimes(evidence: Evidence, scale_outs: Floats, runs: np.ndarray) -> Floats:
    """Ernest's seconds of every job, (X, J); NaN-free, 0 for jobs that none of these runs had."""
    result = np.zeros((len(scale_outs), len(evidence.graph.job_ids)))
    for job in range(result.shape[1]):
        x, y = evidence.end_scale_out[:, job], np.exp(evidence.log_job_runtime[:, job])
        ran = np.isfinite(y) & runs
        steady = ran & (evidence.start_scale_out[:, job] == x)
        used = steady if steady.any() else ran
        if used.any():
            result[:, job] = fit_ernest(x[used], y[used]).predict(scale_outs)
    return result


def _left_out_std(evidence: Evidence) -> float:
    """Root mean square of log predicted over measured runtime of runs left out, one at a time."""
    runs = len(evidence.contexts)
    if runs < 3:
        return UNVALIDATED_CURVE_LOG_STD
    errors = []
    for run in range(runs):
        ran = np.flatnonzero(np.isfinite(evidence.log_job_runtime[run]))
        scale_outs = evidence.end_scale_out[run, ran]
        distinct, at = np.unique(scale_outs, return_inverse=True)
        predicted = _job_runtimes(evidence, distinct, np.arange(runs) != run)[at, ran]
        measured = np.exp(evidence.log_job_runtime[run, ran])[predicted > 0].sum()
        if measured > 0:
            errors.append(np.log(predicted.sum() / measured))
    return float(np.clip(np.sqrt(np.mean(np.square(errors))) if errors else 0.3, CURVE_LOG_STD_FLOOR, 1.5))


def _points(scale_outs: ArrayLike, runtimes: ArrayLike) -> tuple[Floats, Floats]:
    x, y = _positive(scale_outs), np.atleast_1d(np.asarray(runtimes, dtype=np.float64))
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ValueError("a curve needs at least one point, and one runtime per scale-out")
    if not (np.isfinite(y).all() and (y >= 0).all()):
        raise ValueError("runtimes must be finite and not negative")
    return x, y


def _positive(scale_outs: ArrayLike) -> Floats:
    x = np.atleast_1d(np.asarray(scale_outs, dtype=np.float64))
    if not (np.isfinite(x).all() and (x > 0).all()):
        raise ValueError("scale-outs must be positive")
    return x


def _terms(x: Floats) -> Floats:
    return np.stack([np.ones_like(x), 1.0 / x, np.log(x), x], axis=-1)
