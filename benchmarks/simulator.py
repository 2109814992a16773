"""A recorded application as a simulator: jobs whose runtimes follow from the scale-out in effect.

Calibrated on recorded runs without failures. Per job, the log runtime is linear in ln x within one
regime, or two where a change point explains the runs clearly better. The change point is not sharp: near it
some runs were slow and others fast at the same scale-out. A run's random draw says where its own change point
is. What a run shows beyond the law is kept as one vector over all its jobs, and drawn as a whole, so that
jobs deviate together as they did. Residuals are ranked within a regime: a run that crosses the change point
keeps its random draw.

A job proceeds at the speed of the scale-out in effect; a rescaling takes effect after a delay,
maybe in the middle of a job. An executor that dies stalls the run; another takes its place.

Source of the runs' true scale-out: the published Ellis asked Spark for the scale-out it already
had, so that the first one of a recorded run held throughout.

Axes: R runs, J jobs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.ellis_data import complete_runs, is_failure_run, usual_jobs
from training.history.values import JobRecord, RunContext, RunRecord
from training.statistics.arrays import Bools, Floats

MIN_SCALE_OUT, MAX_SCALE_OUT = 4, 36
KILL_SECONDS = 90.0
"""Between two deaths of executors in a failure run."""

LEAD_SECONDS = 0.05
"""Driver's time before each job, as recorded."""

MAX_STALL_SECONDS = 45.0
"""A death costs at most half of the time to the next: recorded runs that never recovered are no law."""

RUN_LIMIT_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Regime:
    """Jobs on one side of the change point: exp(level - slope ln x + residual) seconds."""

    level: Floats
    """(J,)"""
    slope: Floats
    """(J,)"""
    residuals: Floats
    """Log, (R, J), runs in order of how slow they were."""

    def seconds(self, scale_out: int, residual_quantile: float) -> Floats:
        """Runtimes of all jobs at one scale-out, (J,); `residual_quantile` in [0, 1) picks the residuals."""
        drawn = self.residuals[int(residual_quantile * len(self.residuals))]
        return np.asarray(np.exp(self.level - self.slope * np.log(scale_out) + drawn))


@dataclass(frozen=True)
class Application:
    """What was learned from an application's recorded runs."""

    name: str
    regimes: tuple[Regime, ...]
    """One, or the slow one below the change point and the fast one above."""
    slow_share: Floats
    """Share of runs that are below their own change point, at each scale-out from 0 on; never rising."""
    stalls: Floats
    """Seconds that the death of an executor cost, one per recorded failure run."""

    def seconds(self, scale_out: int, residual_quantile: float, change_point: float = 0.5) -> Floats:
        """Runtimes of all jobs of one run, (J,).

        Args:
            residual_quantile: In [0, 1), of what the run shows beyond the law; high is slow.
            change_point: In [0, 1), how far this run's change point is moved; high is towards fewer
                executors.
        """
        slow = change_point < self.slow_share[min(scale_out, len(self.slow_share) - 1)]
        return self.regimes[0 if slow else -1].seconds(scale_out, residual_quantile)


def calibrate_application(runs: Sequence[RunRecord]) -> Application:
    """Learn an application from recorded runs.

    Args:
        runs: Of one application; those with fewer jobs than usual were cut short and are left out, and so
            are jobs beyond the usual number.
    Raises:
        ValueError: There are fewer than five complete runs without failures.
    """
    jobs = usual_jobs(runs)
    complete = [replace(run, jobs=run.jobs[:jobs]) for run in complete_runs(runs)]
    normal = [run for run in complete if not is_failure_run(run)]
    if len(normal) < 5:
        raise ValueError("a simulator needs at least five complete runs without failures")
    x = np.log([float(run.jobs[0].start_scale_out) for run in normal])
    y = np.log([[max(job.runtime_seconds, 0.05) for job in run.jobs] for run in normal])
    total = np.log(np.exp(y).sum(axis=1))
    change_point = _find_change_point(x, total)
    if change_point is None:
        regimes: tuple[Regime, ...] = (_fit_regime(x, y),)
        slow_share = np.zeros(1)
    else:
        slow = _slow_runs(x, total, x < np.log(change_point))
        regimes = (_fit_regime(x[slow], y[slow]), _fit_regime(x[~slow], y[~slow]))
        slow_share = _never_rising(np.exp(x), slow)
    application = Application(normal[0].context.algorithm_name, regimes, slow_share, np.zeros(1))
    failed = [run for run in complete if is_failure_run(run)]
    return replace(application, stalls=_stalls(application, failed)) if failed else application


def _find_change_point(x: Floats, total: Floats) -> int | None:
    """The first scale-out beyond a change point, if two regimes explain log runtimes clearly better than one.

    Absolute deviations, so that single failed runs count little; each regime needs three runs. The
    second law and the threshold have to pay for themselves as in Schwarz's criterion.
    """

    def misfit(side: Bools) -> float:
        level, slope = _robust_line(x[side], total[side])
        return float(np.abs(total[side] - level[0] + slope[0] * x[side]).sum())

    single = misfit(np.ones(len(x), bool))
    best: int | None = None
    lowest = np.inf
    for threshold in sorted({round(float(np.exp(value))) for value in x})[1:]:
        below = x < np.log(threshold)
        if min(below.sum(), (~below).sum()) < 3:
            continue
        together = misfit(below) + misfit(~below)
        if together < lowest:
            best, lowest = threshold, together
    if best is None:
        return None
    # Log likelihood of Laplace errors is -n ln(misfit); three more parameters cost 1.5 ln n.
    gain = len(x) * np.log(single / max(lowest, 1e-9))
    return best if gain > 1.5 * np.log(len(x)) else None


def _slow_runs(x: Floats, total: Floats, slow: Bools) -> Bools:
    """Sort runs by the law that they are nearer to, starting from the sides of a sharp change point."""
    for _ in range(10):
        distance = []
        for side in (slow, ~slow):
            level, slope = _robust_line(x[side], total[side])
            distance.append(np.abs(total - level[0] + slope[0] * x))
        nearer = distance[0] < distance[1]
        if min(nearer.sum(), (~nearer).sum()) < 3 or (nearer == slow).all():
            break
        slow = nearer
    return slow


def _never_rising(scale_outs: Floats, slow: Bools) -> Floats:
    """Share of slow runs at each scale-out by pooling adjacent violators, 0 to the largest one seen."""
    values = np.unique(scale_outs.round().astype(int))
    pools = [
        [float(slow[scale_outs.round() == v].sum()), float((scale_outs.round() == v).sum()), 1]
        for v in values
    ]
    merged: list[list[float]] = []
    for pool in pools:
        merged.append(list(pool))
        while len(merged) > 1 and merged[-2][0] / merged[-2][1] < merged[-1][0] / merged[-1][1]:
            last = merged.pop()
            merged[-1] = [a + b for a, b in zip(merged[-1], last, strict=True)]
    share = np.concatenate([np.full(int(count), hits / runs) for hits, runs, count in merged])
    everywhere = np.interp(np.arange(values[-1] + 1), values, share)
    return np.asarray(everywhere)


def _robust_line(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Level and falling slope of every column over ln x by reweighted least squares, slope shrunk to 0.3."""
    y = y.reshape(len(x), -1)
    weight = np.ones_like(y)
    for _ in range(10):
        total = weight.sum(axis=0)
        middle_x, middle = (weight * x[:, None]).sum(axis=0) / total, (weight * y).sum(axis=0) / total
        dx = x[:, None] - middle_x
        slope = (0.3 * 0.5 - (weight * dx * (y - middle)).sum(axis=0)) / (0.5 + (weight * dx**2).sum(axis=0))
        slope = np.clip(slope, -0.3, 1.0)
        level = middle + slope * middle_x
        weight = 0.05 / np.maximum(np.abs(y - level + slope * x[:, None]), 0.05)
    return level, slope


def _fit_regime(x: Floats, y: Floats) -> Regime:
    level, slope = _robust_line(x, y)
    residuals = y - level + slope * x[:, None]
    slowness = np.exp(y).sum(axis=1) / np.exp(level - slope * x[:, None]).sum(axis=1)
    return Regime(level, slope, residuals[np.argsort(slowness)])


def _stalls(application: Application, failed: Sequence[RunRecord]) -> Floats:
    """What each death cost in the failure runs, against what their scale-out usually took."""
    stalls = []
    for run in failed:
        total = sum(job.runtime_seconds for job in run.jobs)
        usual = float(application.seconds(run.jobs[0].start_scale_out, 0.5).sum())
        stalls.append((total - usual) / max(total / KILL_SECONDS, 1.0))
    return np.clip(stalls, 0.0, MAX_STALL_SECONDS)


@dataclass(frozen=True)
class Conditions:
    """How the cluster answers requests."""

    out_seconds: float = 20.0
    in_seconds: float = 5.0
    ignored_share: float = 0.0
    """Of the requests, drawn per request."""


AfterJob = Callable[[RunRecord, int], int | None]
"""Given the run so far and the scale-out in effect, the scale-out to ask for, or None."""


class SimulatedRun:
    """One run in progress."""

    def __init__(
        self, application: Application, number: int, seed: int, failing: bool, conditions: Conditions
    ) -> None:
        random = np.random.default_rng([seed, number])
        self._application, self._conditions, self._failing = application, conditions, failing
        self._number = number
        self._residual_quantile, stall, self._change_point = random.random(3)
        self._stall = float(np.sort(application.stalls)[int(stall * len(application.stalls))])
        self._answers = np.random.default_rng([seed, number, 1])
        self._clock = 0.0
        self._next_kill = KILL_SECONDS if failing else np.inf
        self._pending: tuple[float, int] | None = None
        self.rescalings = 0

    def play(self, scale_out: int, after_job: AfterJob | None = None) -> RunRecord:
        """Run to the end; `after_job` is asked after every job but the last."""
        now = scale_out
        records: list[JobRecord] = []
        jobs = len(self._application.regimes[0].level)
        context = RunContext(self._application.name)
        for job_id in range(jobs):
            self._clock += LEAD_SECONDS
            begin, first = self._clock, now
            now, overhead = self._work(job_id, now)
            took = self._clock - begin
            ratio = min(overhead / took, 1.0) if first != now and took > 0 else 0.0
            records.append(JobRecord(job_id, begin, took, first, now, ratio))
            if after_job is not None and job_id < jobs - 1:
                known = RunRecord(str(self._number), context, self._started_at, tuple(records))
                self._ask(after_job(known, now), now)
        return RunRecord(str(self._number), context, self._started_at, tuple(records), self._clock)

    def job_seconds(self, scale_outs: Sequence[int]) -> Floats:
        """What each job takes with its lead where nothing dies and nothing is rescaled, (X, J)."""
        took = [self._application.seconds(x, self._residual_quantile, self._change_point) for x in scale_outs]
        return np.asarray(np.array(took) + LEAD_SECONDS)

    def clock_seconds(self, work_seconds: float) -> float:
        """When that much work is done, if executors die meanwhile."""
        if not self._failing or work_seconds <= KILL_SECONDS:
            return work_seconds
        deaths = np.ceil((work_seconds - KILL_SECONDS) / (KILL_SECONDS - self._stall))
        return float(work_seconds + deaths * self._stall)

    @property
    def _started_at(self) -> float:
        return 1_700_000_000.0 + 86_400.0 * self._number

    def _ask(self, wanted: int | None, now: int) -> None:
        if wanted is None or wanted == (self._pending[1] if self._pending else now):
            return
        if self._answers.random() < self._conditions.ignored_share:
            return
        self.rescalings += 1
        delay = self._conditions.out_seconds if wanted > now else self._conditions.in_seconds
        self._pending = None if wanted == now else (self._clock + delay, wanted)

    def _work(self, job_id: int, now: int) -> tuple[int, float]:
        """Finish one job; returns the scale-out at its end, and seconds that a rescaling was awaited."""
        left, awaited = 1.0, 0.0
        while left > 0 and self._clock < RUN_LIMIT_SECONDS:
            speed = 1.0 / float(
                self._application.seconds(now, self._residual_quantile, self._change_point)[job_id]
            )
            until = min(self._next_kill, self._pending[0] if self._pending else np.inf)
            done = self._clock + left / speed
            if done <= until:
                if self._pending:
                    awaited += done - self._clock
                self._clock, left = done, 0.0
            elif until == self._next_kill:
                left -= (until - self._clock) * speed
                self._clock = until + self._stall
                self._next_kill = max(until + KILL_SECONDS, self._clock + 1.0)
            else:
                passed = max(until - self._clock, 0.0)
                left -= passed * speed
                awaited += passed
                self._clock = max(self._clock, until)
                assert self._pending is not None
                now, self._pending = self._pending[1], None
        return now, awaited


def profiling_scale_outs(seed: int, count: int = 10) -> list[int]:
    """Scale-outs from the smallest to the largest, evenly, in random order."""
    even = np.linspace(MIN_SCALE_OUT, MAX_SCALE_OUT, count).round().astype(int)
    return [int(value) for value in np.random.default_rng([seed, 7]).permutation(even)]
