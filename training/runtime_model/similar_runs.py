"""Remaining runtimes from similar earlier runs: a Gaussian process on their logarithm per cut.

No law is assumed: what counts as similar is a scale-out schedule close in ln x, and a run that has
deviated from expectation as this one has. That follows change points, and runs that drift as a whole, which
sums of smooth curves per job miss; further from all runs it says little, and says so. The network
and its laws see it the other way round; `training.runtime_model.joint_forecast` joins both.

Two layers. First every job's log runtime over its scale-out, whose left-out residuals are how far
each run was from expectation at each job, comparable between scale-outs. Then, at a cut, the log
remaining runtime over the scale-outs that follow and those deviations. Weights of both kernels are
fixed, chosen for what log runtimes usually vary by: histories are too short to choose them, and
choices by left-out runs did not predict better. Noise is long-tailed (Student's t by reweighting):
one failed run is no trend.

Sources: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, sections 2.2 and
5.4.2 (left-out residuals in closed form); Lange et al., Robust Statistical Modeling Using the t
Distribution, JASA 1989.

Numpy only. Axes: R runs, J jobs, S schedules that are asked about.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from training.evidence.change_points import (
    NO_CHANGE_POINT,
    USUAL_SIZE_EXPONENT,
    ChangePoint,
    OwnChangePoint,
    own_change_points,
    usual_seconds,
)
from training.evidence.run_effects import RunEffects
from training.evidence.similarity import log_size, similarity
from training.evidence.table import Evidence, contributions
from training.runtime_model.gaussian_process import UNOBSERVED, GaussianProcess, distances, fit_robustly
from training.statistics.arrays import Bools, Floats, Ints
from training.statistics.kernels import matern
from training.statistics.predictive_std import lateness

ALIKE_RUNS_VARIANCE = 0.1
"""Variance of a log runtime between alike runs. Rather too much than too little: where runs repeat
themselves more closely, the laws do well, and count more."""

SCALE_OUT_WIDTH = 0.4
"""Width of kernels in ln x: 24 and 36 executors are 0.4 apart."""

INERTIA = 0.5
"""How far the first scale-out of a run still counts later, besides the present one: data was cached
and partitioned with it, and requests are not always carried out."""

STATE_WIDTH = 0.6
"""Width of kernels in log deviation; a run twice as slow as expected is 0.7 away from one as expected."""

LEVEL_VARIANCE, EXPONENT_VARIANCE, DRIFT_VARIANCE = 0.5, 1.0, 0.17
"""Prior variances of the level, of the exponent of x, and of the share of each deviation that lasts."""

LOCAL_VARIANCE, STATE_VARIANCE, JOINT_VARIANCE = 0.25, 0.25, 0.25
"""Prior variances of what is local in ln x, in the deviations, and in both together."""

USUAL_STATE = np.zeros((1, 3))
"""A run as expected."""

RECENT_JOBS = 3

DEVIATION_LIMIT = 2.0
"""Log; a job that is seven times slower than expected says no more than that."""

SOON = 0.1
"""Share of a run in which a rescaling that was asked for takes effect."""


class LogRemainingRuntime(NamedTuple):
    """Log-normal seconds from a cut to the end of a run, per schedule."""

    log_mean: Floats
    """Mean of the log, (S,)."""
    log_std: Floats
    """Standard deviation of the log, before calibration, (S,)."""
    typical_std: float
    """Median standard deviation of the log at the schedules of earlier runs, each left out."""


class LeftOut(NamedTuple):
    """Left-out errors of forecasts at one cut, one per earlier run."""

    rows: Ints
    """Runs for which there is one."""
    error: Floats
    """Log of forecast over measured."""


@dataclass(frozen=True)
class SimilarRuns:
    """The history of one application, ready to be asked for the remaining runtime of a run."""

    evidence: Evidence
    run_effects: RunEffects
    """Random effects of these runs."""
    size_exponent: float = USUAL_SIZE_EXPONENT
    """Exponent of the runtime over the data size, between contexts."""
    change_point: ChangePoint = NO_CHANGE_POINT

    @cached_property
    def _ran(self) -> Bools:
        return np.isfinite(self.evidence.log_job_runtime)

    @cached_property
    def _log_scale_out(self) -> Floats:
        """Log scale-outs in effect during each job; a run's mean for jobs it did not have, (R, J)."""
        return _effective(self.evidence.start_scale_out, self.evidence.end_scale_out)

    @cached_property
    def _usual_seconds(self) -> Floats:
        return usual_seconds(self.evidence)

    @cached_property
    def _own_change_points(self) -> list[OwnChangePoint]:
        """Posteriors of every run's own change point, (R,)."""
        return own_change_points(self.change_point, self.evidence, self._usual_seconds)

    def _own_change_point(self, run: Evidence, cut: int) -> OwnChangePoint:
        """Posterior of the change point of a run in progress, by its jobs up to a cut."""
        return own_change_points(self.change_point, run, self._usual_seconds, cut + 1)[0]

    @cached_property
    def _steps(self) -> Floats:
        """Steps that a change point adds to log runtimes, (R, J)."""
        pairs = zip(self._own_change_points, self._log_scale_out, strict=True)
        return np.stack([own.shift(row) for own, row in pairs])

    @cached_property
    def _beyond(self) -> Floats:
        """Distances in ln x by which runs were beyond their change point, (R, J)."""
        pairs = zip(self._own_change_points, self._log_scale_out, strict=True)
        return np.stack([own.distance(row) for own, row in pairs])

    @cached_property
    def _log_runtime(self) -> Floats:
        """Log runtimes of jobs as if the data size were 1 MB; 0 where not observed, (R, J)."""
        sizes = np.array([log_size(context) for context in self.evidence.contexts])
        log_runtime = self.evidence.log_job_runtime - self.size_exponent * sizes[:, None]
        log_runtime = log_runtime - self._steps - self.run_effects.effect[:, None]
        return np.where(self._ran, log_runtime, 0.0)

    @cached_property
    def _seconds(self) -> Floats:
        """Seconds that each job added to its run, the driver's before it included; NaN without it, (R, J)."""
        return contributions(self.evidence)

    @cached_property
    def _share(self) -> Floats:
        """Usual seconds of each job, (J,): short jobs say little."""
        columns = [column[np.isfinite(column)] for column in self._seconds.T]
        return np.array([float(np.median(column)) if len(column) else 0.0 for column in columns]) + 1e-3

    def _shares(self, ahead: Bools) -> Floats:
        """Shares of the jobs ahead by usual seconds; they sum to 1."""
        return np.asarray(self._share[ahead] / self._share[ahead].sum())

    @cached_property
    def _jobs(self) -> list[GaussianProcess]:
        """Gaussian processes of every job's log runtime over its scale-out."""
        return [self._fit_job(job) for job in range(self._ran.shape[1])]

    def _fit_job(self, job: int) -> GaussianProcess:
        inputs = self._job_inputs(self._log_scale_out, self._beyond, job)
        ran = self._ran[:, job]
        target = self._log_runtime[:, job]
        mean = float(np.median(target[ran])) if ran.any() else 0.0
        noise = np.where(ran, ALIKE_RUNS_VARIANCE, UNOBSERVED)
        kernel = self.evidence.similarities * _job_kernel(inputs, inputs)
        return fit_robustly(kernel, np.where(ran, target, mean), noise, mean)

    def _job_inputs(self, log_scale_out: Floats, beyond: Floats, job: int) -> Floats:
        """Kernel inputs at a job, from schedules (A, J): ln x, the first, side of a change point, (A, 3)."""
        middle = float(self._log_scale_out[:, job].mean())
        now, first = log_scale_out[:, job] - middle, log_scale_out[:, 0] - middle
        return np.stack([now, INERTIA * first, beyond[:, job]], axis=-1)

    @cached_property
    def _deviations(self) -> Floats:
        """Deviations of jobs: log of measured over what the other runs let expect, (R, J)."""
        left_out = np.stack([process.left_out for process in self._jobs], axis=1)
        left_out = left_out + self.run_effects.effect[:, None]
        return np.clip(np.where(self._ran, left_out, 0.0), -DEVIATION_LIMIT, DEVIATION_LIMIT)

    def _own_deviations(
        self, run: Evidence, own_change_point: OwnChangePoint, log_scale_out: Floats, cut: int
    ) -> Floats:
        """Deviations of the jobs of a run in progress, (1, J); 0 from the cut on."""
        steps, beyond = own_change_point.shift(log_scale_out), own_change_point.distance(log_scale_out)[None]
        deviations = np.zeros((1, self._ran.shape[1]))
        near = similarity(self.evidence.contexts, run.contexts[0])
        size = self.size_exponent * log_size(run.contexts[0])
        for job in map(int, np.flatnonzero(np.isfinite(run.log_job_runtime[0]))):
            if job > cut or not self._ran[:, job].any():
                continue
            inputs = self._job_inputs(self._log_scale_out, self._beyond, job)
            here = self._job_inputs(log_scale_out[None], beyond, job)
            process = self._jobs[job]
            expected = process.mean + float((near * _job_kernel(here, inputs)[0]) @ process.alpha)
            expected += float(steps[job])
            deviations[0, job] = run.log_job_runtime[0, job] - size - expected
        return np.clip(deviations, -DEVIATION_LIMIT, DEVIATION_LIMIT)

    def _inputs(self, log_scale_out: Floats, beyond: Floats, ahead: Bools) -> Floats:
        """Kernel inputs of schedules: ln x of what follows (mean), of the next, the first; side, (A, 4)."""
        share = self._shares(ahead)
        middle = float(self._log_scale_out.mean())
        later, following = log_scale_out[:, ahead] @ share, log_scale_out[:, np.flatnonzero(ahead)[0]]
        first = INERTIA * (log_scale_out[:, 0] - middle)
        side = beyond[:, ahead] @ share
        return np.stack([later - middle, following - middle, first, side], axis=-1)

    def states(self, deviations: Floats, cut: int) -> Floats:
        """States of runs: mean log deviations (A, J) up to a cut, of late, by seconds and by jobs, (A, 3)."""
        if cut < 0:
            return np.repeat(USUAL_STATE, len(deviations), axis=0)
        share, since = self._share[: cut + 1], max(cut + 1 - RECENT_JOBS, 0)
        recent = share[since:] / share[since:].sum()
        seen = deviations[:, : cut + 1]
        return np.stack([seen[:, since:] @ recent, seen @ share / share.sum(), seen.mean(axis=1)], axis=-1)

    def _targets(self, ahead: Bools) -> Floats:
        """Log seconds from a cut to the end as if the data size were 1 MB, (R,); NaN without all jobs."""
        tail = self.evidence.tail
        usual = float(np.median(tail[np.isfinite(tail)])) if np.isfinite(tail).any() else 0.0
        seconds = self._seconds[:, ahead].sum(axis=1) + np.where(np.isfinite(tail), tail, usual)
        sizes = np.array([log_size(context) for context in self.evidence.contexts])
        log_seconds = np.log(np.maximum(seconds, 1e-3)) - self._shift(self._steps, ahead)
        return np.asarray(log_seconds - self.size_exponent * sizes)

    def _unknown_effects(self, cut: int) -> Floats:
        """Part of the runs' random effects that nobody could know at the cut, (R,)."""
        finished = float(self._share[: cut + 1].sum() / self._share.sum())
        return self.run_effects.unknown(finished)

    def _shift(self, steps: Floats, ahead: Bools) -> Floats:
        """Step of the log of everything ahead, from the steps of jobs (A, J), (A,)."""
        share = self._shares(ahead)
        return np.asarray(np.log(np.exp(steps[:, ahead]) @ share))

    def _fit(
        self, cut: int, ahead: Bools, near: Floats
    ) -> tuple[GaussianProcess, Floats, Floats, Bools] | None:
        """The process of one cut, inputs and states of its runs; None with fewer than two runs."""
        target = self._targets(ahead) - self._unknown_effects(cut)
        used = np.isfinite(target)
        if used.sum() < 2:
            return None
        inputs = self._inputs(self._log_scale_out, self._beyond, ahead)[used]
        states = self.states(self._deviations, cut)[used]
        kernel = self.evidence.similarities[np.ix_(used, used)] * _remaining_kernel(
            inputs, states, inputs, states
        )
        mean = _weighted_median(target[used], near[used])
        process = fit_robustly(kernel, target[used], np.full(int(used.sum()), ALIKE_RUNS_VARIANCE), mean)
        return process, inputs, states, used

    def deviations(self, run: Evidence, cut: int) -> Floats:
        """Deviations of the jobs of a run in progress up to a cut: log of measured over expected, (1, J)."""
        schedule = self._schedules(run, np.ones((1, self._ran.shape[1])), cut)[0]
        return self._own_deviations(run, self._own_change_point(run, cut), schedule, cut)

    def lateness(self, deviations: Floats, cuts: Ints) -> Floats:
        """Lateness of runs by the deviations of their jobs (A, J), each up to a cut (A,), as `lateness`."""
        return lateness(deviations, self._share, cuts)

    def earlier_lateness(self, runs: Ints, cuts: Ints) -> Floats:
        """The same of earlier runs, rows of the table (P,), as others would have let expect them, (P,)."""
        return self.lateness(self._deviations[runs], cuts)

    def forecast_remaining(
        self, run: Evidence, cut: int, scale_outs: Floats, ahead: Bools, state: Floats
    ) -> LogRemainingRuntime | None:
        """Forecast the remaining runtime of a run under some schedules.

        Args:
            run: Table over the same graph with the run in its only row; jobs after the cut are ignored.
            cut: Position of the last finished job, -1 before the run.
            scale_outs: At the end of each job, (S, J); those up to the cut are replaced by the run's.
            ahead: Jobs that are to be expected after the cut, (J,), at least one.
            state: How the run has gone, from `states`, or zeros for what it does not count for, (1, 3).
        Returns:
            None where fewer than two earlier runs had all of these jobs.
        """
        context = run.contexts[0]
        near = similarity(self.evidence.contexts, context)
        fitted = self._fit(cut, ahead, near)
        if fitted is None:
            return None
        process, inputs, states, used = fitted
        own_change_point, schedule = self._own_change_point(run, cut), self._schedules(run, scale_outs, cut)
        here = self._inputs(schedule, own_change_point.distance(schedule), ahead)
        state = np.repeat(state, len(here), axis=0)
        kernel = near[used] * _remaining_kernel(here, state, inputs, states)
        log_mean = process.mean + kernel @ process.alpha + self.size_exponent * log_size(context)
        log_mean = log_mean + self._shift(own_change_point.shift(schedule), ahead)
        own_variance = _remaining_kernel(here[:, None], state[:, None], here[:, None], state[:, None])[
            :, 0, 0
        ]
        variance = own_variance - np.einsum("sr,rq,sq->s", kernel, process.inverse, kernel)
        log_std = np.sqrt(np.maximum(variance, 0.0) + ALIKE_RUNS_VARIANCE)
        return LogRemainingRuntime(log_mean, log_std, float(np.median(process.left_out_std)))

    def _schedules(self, run: Evidence, scale_outs: Floats, cut: int) -> Floats:
        """Log scale-outs of a run in progress, (S, J): its own up to the cut."""
        ran = np.isfinite(run.log_job_runtime[0]) & (np.arange(scale_outs.shape[1]) <= cut)
        own = 0.5 * np.log(np.where(ran, run.start_scale_out[0] * run.end_scale_out[0], 1.0))
        schedule = np.where(ran, own, np.log(scale_outs))
        if ran.any():
            schedule[:, 0] = own[np.flatnonzero(ran)[0]]
        return np.asarray(schedule)

    def mean_log_scale_out(self, run: Evidence, cut: int, scale_outs: Floats, ahead: Bools) -> Floats:
        """Mean ln x of what is ahead of a run by schedules (S, J), higher beyond a change point, (S,)."""
        log_x = np.log(scale_outs)
        return self._weighted_log_scale_out(log_x + self._own_change_point(run, cut).distance(log_x), ahead)

    def next_log_scale_outs(self, runs: Ints, ahead: Bools) -> Floats:
        """Mean ln x of the jobs ahead that come next, (P,), of earlier runs; of all jobs where none is ahead.

        What a run was given later answers to how it went: scale-outs for runs that are late would be
        blamed for their delay.

        Args:
            runs: Rows of the table, (P,).
            ahead: Jobs ahead of each, (P, J).
        """
        along = self._log_scale_out + self._beyond
        log_scale_outs = [
            self._weighted_log_scale_out(
                along[run : run + 1], self._next(jobs) if jobs.any() else np.ones_like(jobs)
            )
            for run, jobs in zip(runs, ahead, strict=True)
        ]
        return np.concatenate(log_scale_outs)

    def _next(self, ahead: Bools) -> Bools:
        """The first of the jobs ahead, until a rescaling that was asked for has taken effect, (J,)."""
        begun = np.cumsum(np.where(ahead, self._share, 0.0)) - np.where(ahead, self._share, 0.0)
        return np.asarray(ahead & (begun <= SOON * self._share.sum()))

    def _weighted_log_scale_out(self, along: Floats, ahead: Bools) -> Floats:
        share = self._shares(ahead)
        return np.asarray(along[:, ahead] @ share)

    def left_out(self, cut: int, ahead: Bools) -> LeftOut | None:
        """Left-out errors at a cut for each earlier run with all jobs ahead; None with fewer than three.

        Args:
            ahead: Jobs to be expected after the cut, (J,).
        """
        fitted = self._fit(cut, ahead, np.ones(len(self.evidence.contexts)))
        if fitted is None or fitted[3].sum() < 3:
            return None
        process, _, _, used = fitted
        error = -process.left_out - self._unknown_effects(cut)[used]
        return LeftOut(np.flatnonzero(used), error)


def _effective(start: Floats, end: Floats) -> Floats:
    log_scale_out = 0.5 * np.log(start * end)
    ran = np.isfinite(log_scale_out)
    mean = np.where(ran, log_scale_out, 0.0).sum(axis=1) / np.maximum(ran.sum(axis=1), 1)
    return np.asarray(np.where(ran, log_scale_out, mean[:, None]))


def _job_kernel(left: Floats, right: Floats) -> Floats:
    """Covariances of a job's log runtimes between inputs (A, F) and (B, F), (A, B)."""
    linear = left[:, None, 0] * right[None, :, 0]
    return np.asarray(
        2 * LEVEL_VARIANCE
        + EXPONENT_VARIANCE * linear
        + LOCAL_VARIANCE * matern(distances(left, right) / SCALE_OUT_WIDTH)
    )


def _remaining_kernel(left: Floats, left_states: Floats, right: Floats, right_states: Floats) -> Floats:
    """Covariances of log remaining runtimes, from inputs (..., A, F) and states (..., A, 3) to B others."""
    near = matern(distances(left, right) / SCALE_OUT_WIDTH)
    alike = matern(distances(left_states, right_states) / STATE_WIDTH)
    linear = left[..., :, None, 0] * right[..., None, :, 0]
    drift = (left_states[..., :, None, :] * right_states[..., None, :, :]).sum(axis=-1)
    local = LOCAL_VARIANCE * near + STATE_VARIANCE * alike + JOINT_VARIANCE * near * alike
    return np.asarray(LEVEL_VARIANCE + EXPONENT_VARIANCE * linear + DRIFT_VARIANCE * drift + local)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(total, 0.5 * total[-1]))])
