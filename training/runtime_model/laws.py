"""Scale-out laws: runtimes of nodes from laws and similar runs, in closed form.

A node's runtime at scale-out x is exp(law(x) + similar runs(x) + run factor + correction): the
first two come from `fit_prior`, the factor from this run's finished jobs (`run_factor`), the
correction from the network in `training.runtime_model.network`.

Numpy only. Axes: R runs, J jobs, N nodes, M law shapes, X scale-outs.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from training.evidence.change_points import (
    NO_CHANGE_POINT,
    USUAL_SIZE_EXPONENT,
    ChangePoint,
    find_change_point,
    own_change_points,
    usual_seconds,
)
from training.evidence.graph import critical_path
from training.evidence.run_effects import RunEffects
from training.evidence.similarity import log_size, similarity
from training.evidence.table import MIN_SECONDS, Evidence
from training.evidence.timing import RESCALING_IN_SECONDS, RESCALING_OUT_SECONDS, Timing, timing
from training.history.values import RunContext
from training.runtime_model.expectations import Expectation, KnownExpectations
from training.statistics.arrays import Floats

SERIAL_SHARES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Candidates for Amdahl's serial share, relative to the runtime at one executor."""

POWERS = ((0.25, 0.08), (0.5, 0.1), (0.75, 0.08), (1.5, 0.02), (-0.15, 0.015), (-0.4, 0.005))
"""Exponents p of x^-p with their prior weights; growing ones only win where the data insists."""

SIGNAL_TO_NOISE = (0.1, 0.5, 2.0, 10.0)
RESIDUAL_WIDTHS = (0.1, 0.25, 0.6)
"""Choices for what similar runs add: its variance over the noise, and its width in ln x."""

FACTOR_NOISES = (1.0, 0.3, 3.0, 10.0, 30.0)
"""Choices for how many jobs it takes to believe half of what they show: many where single jobs scatter and
runs as a whole do not. The first one wins where all are as good."""

DRIFT_RUNS = 4
"""Runs' worth of belief that a drift of 20% lasts for 90% of it, against what the history shows."""

NOISE_FLOOR = 0.05
"""Standard deviation of a log runtime that is taken for granted."""


def log_shapes(scale_out: Floats, num_tasks: Floats, cores: Floats | float) -> Floats:
    """Log of the runtime over that at one executor, for every law shape.

    Shapes are Amdahl's s + (1-s)g with g = 1/x or with g the number of task waves, and powers.

    Args:
        scale_out: (N, X)
        num_tasks: (N,); 0 where unknown, then waves count as 1/x.
        cores: Per executor, scalar or (X,).
    Returns:
        (N, M, X)
    """
    share = np.array(SERIAL_SHARES)[:, None]
    inverse = 1.0 / scale_out
    tasks = np.maximum(num_tasks, 1.0)[:, None]
    waves = np.ceil(tasks / (scale_out * cores)) / np.ceil(tasks / cores)
    waves = np.where(num_tasks[:, None] > 0, waves, inverse)
    amdahl = [np.log(share + (1 - share) * g[:, None, :]) for g in (inverse, waves)]
    power = np.array([p for p, _ in POWERS])[:, None]
    return np.concatenate([*amdahl, -power * np.log(scale_out)[:, None, :]], axis=1)


def _shape_weights() -> Floats:
    amdahl = np.full(len(SERIAL_SHARES), 0.35 / len(SERIAL_SHARES))
    weights = np.concatenate([amdahl, amdahl, [weight for _, weight in POWERS]])
    return np.asarray(weights / weights.sum())


class Calibration(NamedTuple):
    """Calibration of an application: few numbers learned from its whole history rather than per node."""

    signal_to_noise: float = 0.5
    width: float = 0.25
    factor_noise: float = 1.0
    """Finished jobs (in seconds-weighted count) at which half of their deviation is believed."""
    job_noise: float = 0.0
    """Usual log deviation of a job: what is further off is believed sooner. 0, as in all models made since
    2026-11-30: no sooner."""
    persistence: float = 0.9
    """Share of a run's deviation that its later jobs show too."""
    rescaling_out_seconds: float = RESCALING_OUT_SECONDS
    rescaling_in_seconds: float = RESCALING_IN_SECONDS
    change_point_log_scale_out: float = 0.0
    """This and the following as in `training.evidence.change_points.ChangePoint`."""
    change_point_jump: float = 0.0
    change_point_width: float = NO_CHANGE_POINT.width
    change_point_level: float = 0.0
    change_point_slope: float = 0.0
    change_point_mean_deviation: float = NO_CHANGE_POINT.mean_deviation

    @property
    def change_point(self) -> ChangePoint:
        """Change point of the application, put together from its fields here."""
        return ChangePoint(
            self.change_point_log_scale_out,
            self.change_point_jump,
            self.change_point_width,
            self.change_point_level,
            self.change_point_slope,
            self.change_point_mean_deviation,
        )


@dataclass(frozen=True)
class Prior:
    """Scale-out laws and similar runs of one application, in closed form."""

    evidence: Evidence
    calibration: Calibration
    keep: Floats
    """1 for runs it was fitted on, (R,)."""
    log_scale_out: Floats
    """Log scale-out in effect during each job, (R, J); 0 where it did not run."""
    weights: Floats
    """Posterior of the law shapes, (N, M)."""
    offsets: Floats
    """Log runtime at one executor under each shape, (N, M)."""
    residual: Floats
    """Log runtime beyond the law, (R, N); 0 where not observed."""
    observed: Floats
    """(R, N)"""
    alpha: Floats
    """Weights of the runs' residuals, (R, N)."""
    inverse: Floats
    """Inverse covariance of the residuals in units of the noise, (N, R, R)."""
    noise: Floats
    """Standard deviation of the residuals, (N,)."""
    size_exponent: float
    mean_log_size: float
    timing: Timing
    """Times between jobs in the runs it was fitted on."""
    steps: Floats
    """What change points add to the log runtimes of recorded jobs, as far as runs show it, (R, J)."""

    @cached_property
    def usual_seconds(self) -> Floats:
        """Median runtime of each job as if the data size were 1 MB, (J,)."""
        return usual_seconds(self.evidence)

    @cached_property
    def _expected(self) -> KnownExpectations:
        """What was expected in the latest contexts: a run asks for the same after each of its jobs."""
        return KnownExpectations(self._expect, len(self.evidence.graph.names))

    def expect(self, scale_outs: Floats, context: RunContext) -> Expectation:
        """Evaluate all nodes at some scale-outs (X,), for a run in this context below any change point."""
        return self._expected.at(scale_outs, context)

    def _expect(self, scale_outs: Floats, context: RunContext) -> Expectation:
        graph = self.evidence.graph
        near = similarity(self.evidence.contexts, context) * self.keep
        shapes = log_shapes(
            np.broadcast_to(scale_outs, (len(graph.names), len(scale_outs))),
            graph.num_tasks,
            float(max(context.executor_cores, 1)),
        )
        curves = shapes + self.offsets[:, :, None]
        law = np.einsum("nm,nmx->xn", self.weights, curves)
        law_variance = np.einsum("nm,nmx->xn", self.weights, curves**2) - law**2
        law += self.size_exponent * (log_size(context) - self.mean_log_size)

        gap = np.log(scale_outs)[:, None, None] - self.log_scale_out
        ratio, width = self.calibration.signal_to_noise, self.calibration.width
        kernel = near[:, None] * ratio * (0.3 + np.exp(-0.5 * (gap / width) ** 2))
        kernel = kernel[:, :, graph.node_job] * self.observed
        similar_runs = np.einsum("xrn,rn->xn", kernel, self.alpha)
        explained = np.einsum("xrn,nrq,xqn->xn", kernel, self.inverse, kernel, optimize=True)
        beyond = np.maximum(ratio * 1.3 - explained, 0.0) * self.noise**2

        closeness = near[:, None] * (np.exp(-0.5 * (gap / 0.3) ** 2) + 1e-3)
        closeness = closeness[:, :, graph.node_job]
        weight = closeness * self.observed
        deviation = np.einsum("xrn,rn->xn", weight, self.residual) / np.maximum(weight.sum(axis=1), 1e-12)
        recorded = np.isfinite(self.evidence.metrics)
        values = np.where(recorded, self.evidence.metrics, 0.0)
        total = np.einsum("xrn,rnc->xnc", closeness, recorded.astype(np.float64))
        metrics = np.einsum("xrn,rnc->xnc", closeness, values) / np.maximum(total, 1e-12)
        return Expectation(
            law + similar_runs, np.sqrt(np.maximum(law_variance, 0) + beyond), deviation, metrics
        )


def _effective_scale_out(evidence: Evidence) -> tuple[Floats, Floats]:
    """Log scale-out in effect and trust in the observation, both (R, J)."""
    start, end = np.log(evidence.start_scale_out), np.log(evidence.end_scale_out)
    steady = np.nan_to_num(np.abs(start - end)) < 1e-9
    return np.nan_to_num(0.5 * (start + end)), np.where(steady, 1.0, 0.25)


def _steps(evidence: Evidence, change_point: ChangePoint) -> Floats:
    """Steps of `Prior`: log runtimes that change points add to recorded jobs, (R, J)."""
    log_x, _ = _effective_scale_out(evidence)
    if not change_point.jump:
        return np.zeros_like(log_x)
    of_runs = own_change_points(change_point, evidence, usual_seconds(evidence))
    return np.stack([own.shift(row) for own, row in zip(of_runs, log_x, strict=True)])


def fit_prior(
    evidence: Evidence, run_effects: RunEffects, calibration: Calibration, without: int | None = None
) -> Prior:
    """Fit the scale-out laws of all nodes of an application.

    Law shapes are averaged by their marginal likelihood (noise integrated out), with an
    application-wide distribution of shapes as the nodes' prior: one point already gives a sane
    curve, five decide. Residuals to that law are then interpolated over ln x and contexts
    (kriging), which follows change points that no smooth law shows.

    Args:
        run_effects: Random effects of the runs, which are subtracted first.
        without: Run that is left out; None for none.
    """
    graph = evidence.graph
    runs = len(evidence.contexts)
    keep = np.ones(runs)
    if without is not None:
        keep[without] = 0.0
    log_x, trust = _effective_scale_out(evidence)
    observed = np.isfinite(evidence.log_runtime) * keep[:, None]
    age = np.arange(runs)[::-1, None]
    trust = trust[:, graph.node_job] * observed / (1.0 + age / 20.0)
    steps = _steps(evidence, calibration.change_point)
    beyond = steps[:, graph.node_job] + run_effects.effect[:, None]
    y = np.where(observed > 0, evidence.log_runtime - beyond, 0.0)
    cores = np.array([float(max(context.executor_cores, 1)) for context in evidence.contexts])
    shapes = log_shapes(np.exp(log_x)[:, graph.node_job].T, graph.num_tasks, cores)
    sizes = np.array([log_size(context) for context in evidence.contexts])
    mean_size = float(np.average(sizes, weights=keep)) if keep.any() else float(sizes.mean())
    sizes = sizes - mean_size
    seconds = np.exp(y).sum(axis=0) / np.maximum(observed.sum(axis=0), 1) * (observed.sum(axis=0) > 0)
    share = seconds / max(float(seconds.sum()), 1e-9)

    exponent, prior, robust = USUAL_SIZE_EXPONENT, _shape_weights(), np.ones_like(y)
    for _ in range(4):
        trusted = trust * robust
        count = trusted.sum(axis=0)
        target = y - exponent * sizes[:, None]
        gap = target.T[:, None, :] - shapes
        offsets = np.einsum("rn,nmr->nm", trusted, gap) / np.maximum(count, 1e-9)[:, None]
        rss = np.einsum("rn,nmr->nm", trusted, (gap - offsets[:, :, None]) ** 2)
        evidence_of = -0.5 * (1.0 + count)[:, None] * np.log1p(rss / (2.0 * NOISE_FLOOR**2))
        pooled = prior
        for _ in range(3):
            weights = np.log(pooled) + evidence_of
            weights = np.exp(weights - weights.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            pooled = 3.0 * prior + len(share) * share @ weights
            pooled = pooled / pooled.sum()
        law = np.einsum("nm,nmr->rn", weights, shapes + offsets[:, :, None])
        residual = (target - law) * observed
        squares = (trusted * residual**2).sum(axis=0)
        noise: Floats = np.sqrt((squares + 2.0 * NOISE_FLOOR**2) / (np.maximum(count - 1.0, 0.0) + 2.0))
        robust = 1.0 / (1.0 + (residual / (1.5 * noise)) ** 2)
        of_run = ((residual + exponent * sizes[:, None] * observed) * share).sum(axis=1)
        covered = np.maximum((observed * share).sum(axis=1), 1e-9)
        exponent = float((sizes * of_run / covered * keep).sum() + 0.25 * USUAL_SIZE_EXPONENT)
        exponent = float(np.clip(exponent / ((keep * sizes**2).sum() + 0.25), 0.0, 2.0))
    seen = observed.sum(axis=0) > 0
    if not seen.all() and seen.any():
        is_driver = graph.is_driver
        for node in np.flatnonzero(~seen):
            alike = seen & (is_driver == is_driver[node])
            offsets[node] = offsets[alike if alike.any() else seen].mean(axis=0)
            noise[node] = 1.0

    near = evidence.similarities
    width, ratio = calibration.width, calibration.signal_to_noise
    gap_x = log_x.T[:, :, None] - log_x.T[:, None, :]
    kernel = near * ratio * (0.3 + np.exp(-0.5 * (gap_x / width) ** 2))
    mask = observed.T
    covariance = kernel[graph.node_job] * mask[:, :, None] * mask[:, None, :]
    diagonal = np.where(mask > 0, 1.0 / np.maximum((trust * robust).T, 1e-3), 1.0)
    covariance[:, np.arange(runs), np.arange(runs)] += diagonal
    inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    alpha = np.einsum("nrq,qn->rn", inverse, residual) * observed
    return Prior(
        evidence, calibration, keep, log_x, weights, offsets, residual, observed, alpha, inverse, noise,
        exponent, mean_size, timing(evidence, keep > 0), steps,
    )  # fmt: skip


def run_factor(deviation: Floats, seconds: Floats, calibration: Calibration) -> float:
    """Log factor expected of a run's remaining jobs, from its finished ones: a random effect, shrunk.

    A job that is far off is believed no sooner than others are, where no `job_noise` says so: one straggler
    of a calm history would be taken for a slow run. How many jobs it takes was learned
    (`Calibration.factor_noise`). Source: Robinson, That BLUP is a good thing, Statistical Science 1991.

    Args:
        deviation: Log of measured over expected runtime, per finished job.
        seconds: Their measured runtimes; short jobs say little.
    """
    if not len(deviation):
        return 0.0
    seconds = seconds * np.exp(-0.5 * deviation)  # between measured and expected
    weight = seconds / (seconds + 1.0)
    total = float((weight * np.clip(deviation, -1.5, 1.5)).sum())
    usual = calibration.factor_noise
    if calibration.job_noise:
        usual /= 1.0 + (total / weight.sum() / calibration.job_noise) ** 2
    return calibration.persistence * total / float(weight.sum() + usual)


def calibrate(evidence: Evidence, run_effects: RunEffects) -> Calibration:
    """Choose the application-wide numbers of `Calibration`, by leaving one run out at a time."""
    out_in = []
    for scale, default in ((1, RESCALING_OUT_SECONDS), (-1, RESCALING_IN_SECONDS)):
        moved = np.sign(np.nan_to_num(evidence.end_scale_out - evidence.start_scale_out)) == scale
        moved &= evidence.rescaling_ratio > 0
        delays = (evidence.rescaling_ratio * np.exp(evidence.log_job_runtime))[moved]
        count = len(delays)
        out_in.append((count * float(np.median(delays)) + 3 * default) / (count + 3) if count else default)
    change_point = {
        f"change_point_{name}": value for name, value in find_change_point(evidence)._asdict().items()
    }
    first = Calibration(rescaling_out_seconds=out_in[0], rescaling_in_seconds=out_in[1], **change_point)
    if len(evidence.contexts) < 3:
        return first
    best, lowest = first, np.inf
    for ratio in SIGNAL_TO_NOISE:
        for width in RESIDUAL_WIDTHS:
            choice = first._replace(signal_to_noise=ratio, width=width)
            prior = fit_prior(evidence, run_effects, choice)
            diagonal = np.diagonal(prior.inverse, axis1=1, axis2=2).T
            left_out = np.abs(prior.alpha / diagonal) * prior.observed
            seconds = np.exp(np.where(prior.observed > 0, evidence.log_runtime, -20.0))
            loss = float((left_out * seconds).sum() / seconds.sum())
            if loss < lowest * 0.97:
                best, lowest = choice, loss
    return _calibrate_factor(evidence, run_effects, best)


def _calibrate_factor(evidence: Evidence, run_effects: RunEffects, calibration: Calibration) -> Calibration:
    """Learn how far a run's deviation so far carries over to its later jobs."""
    pairs = []
    for run, context in enumerate(evidence.contexts):
        prior = fit_prior(evidence, run_effects, calibration, without=run)
        expected = expected_job_runtime(prior, run, context)
        ran = np.flatnonzero(np.isfinite(evidence.log_job_runtime[run]))
        actual = np.exp(evidence.log_job_runtime[run, ran])
        deviation = np.log(actual / expected[ran])
        for cut in range(1, len(ran)):
            later_deviation = float(np.log(actual[cut:].sum() / expected[ran][cut:].sum()))
            pairs.append((deviation[:cut], actual[:cut], later_deviation, 1.0 / len(ran)))
    if not pairs:
        return calibration
    best, lowest = calibration, np.inf
    later_deviations = np.array([pair[2] for pair in pairs])
    weight = np.array([pair[3] for pair in pairs])
    for factor_noise in FACTOR_NOISES:
        choice = calibration._replace(factor_noise=factor_noise, persistence=1.0)
        factors = np.array([run_factor(deviation, actual, choice) for deviation, actual, _, _ in pairs])
        for slope in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0):
            loss = float(
                (weight * np.minimum(np.abs(np.expm1(slope * factors - later_deviations)), 3.0)).sum()
            )
            loss += DRIFT_RUNS * abs(float(np.expm1((slope - 0.9) * 0.2)))
            if loss < lowest:
                best, lowest = choice._replace(persistence=slope), loss
    return best


def expected_job_runtime(prior: Prior, run: int, context: RunContext) -> Floats:
    """Expected seconds of each job at the scale-outs that a recorded run had, (J,)."""
    evidence = prior.evidence
    scale_out, at = np.unique(np.exp(prior.log_scale_out[run]), return_inverse=True)
    expected = prior.expect(scale_out, context).log_runtime
    nodes = np.arange(expected.shape[1])
    log_runtime = expected[at[evidence.graph.node_job], nodes]
    log_runtime = log_runtime + prior.steps[run, evidence.graph.node_job]
    return np.maximum(critical_path(evidence.graph, np.exp(log_runtime)), MIN_SECONDS)
