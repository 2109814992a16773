"""What runs could have had at best, had their random effects been known: the least price of meeting targets.

Two kinds of choice. *Static* is what the oracle has: one scale-out for a run, played in the simulator.
*Per job* is more than any policy can do: every job has the scale-out that is best for the run, and
rescaling takes no time. How many runs may miss and by how much is given, and which ones, too, is chosen
in hindsight. That is a linear program, whose optimum is a bound: in fewer executor-hours nobody keeps
to such limits.

Axes: P runs, S choices, X scale-outs, J jobs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from benchmarks.runtime_targets import executor_hours
from benchmarks.simulator import Application, Conditions, SimulatedRun
from training.statistics.arrays import Bools, Floats

TIME_PRICES = np.geomspace(0.1, 1e4, 120)
"""Executors that a second is worth, which draws schedules from the cheapest to the fastest."""


class Draw(NamedTuple):
    """Which run of the simulator."""

    number: int
    seed: int
    is_failure: bool

    def run(self, application: Application) -> SimulatedRun:
        return SimulatedRun(application, self.number, self.seed, self.is_failure, Conditions())


class Choices(NamedTuple):
    """What each run could have had."""

    executor_hours: Floats
    """(P, S)"""
    over: Floats
    """How far beyond the target, as a share of it, 0 where it is met, (P, S)."""
    normal: Bools
    """Runs in which no executor was killed, (P,)."""

    def least_hours(self, missed: float = 1.0, normal_over: float = np.inf) -> float:
        """The fewest executor-hours per run within these limits; nan where nothing is.

        Args:
            missed: Share of all runs that may be beyond their target.
            normal_over: Mean of `over` that normal runs may have.
        """
        runs, choices = self.over.shape
        rows = [(self.over > 0).ravel() / runs]
        limits = [missed + 1e-12]
        if np.isfinite(normal_over) and self.normal.any():
            rows.append((self.over * self.normal[:, None]).ravel() / self.normal.sum())
            limits.append(normal_over + 1e-12)
        one_each = sparse.kron(sparse.eye(runs), np.ones((1, choices)), format="csr")
        found = linprog(
            self.executor_hours.ravel() / runs,
            A_ub=np.stack(rows),
            b_ub=np.array(limits),
            A_eq=one_each,
            b_eq=np.ones(runs),
        )
        return float(found.fun) if found.success else float("nan")

    def least_missed(self) -> float:
        """Share of runs that miss their target whatever they have."""
        return float((self.over.min(axis=1) > 0).mean())


def static_choices(
    application: Application,
    target_seconds: float,
    draws: Sequence[Draw],
    scale_outs: Sequence[int],
    advance: Callable[[], None] = lambda: None,
) -> Choices:
    """Each run with each scale-out from its beginning to its end."""
    hours, seconds = [], []
    for draw in draws:
        played = [draw.run(application).play(x) for x in scale_outs]
        hours.append([executor_hours(run, x) for run, x in zip(played, scale_outs, strict=True)])
        seconds.append([run.runtime_seconds or 0.0 for run in played])
        advance()
    return _choices(hours, seconds, target_seconds, draws)


def choices_per_job(
    application: Application, target_seconds: float, draws: Sequence[Draw], scale_outs: Sequence[int]
) -> Choices:
    """Each run with the best scale-out for each of its jobs, rescaled in no time.

    Best for a price of time: a job takes the scale-out with the least executor-seconds and price of its
    seconds, so that nothing is both cheaper and faster. What the death of an executor costs is counted
    at the smallest of a run's scale-outs.
    """
    executors = np.array(scale_outs, dtype=np.float64)
    hours, seconds = [], []
    for draw in draws:
        run = draw.run(application)
        took = run.job_seconds(scale_outs)
        best = np.argmin((executors[:, None] + TIME_PRICES[:, None, None]) * took, axis=1)
        work = np.take_along_axis(took, best, axis=0)
        clock = np.array([run.clock_seconds(total) for total in work.sum(axis=1)])
        paid = (executors[best] * work).sum(axis=1)
        stalled = (clock - work.sum(axis=1)) * executors[best].min(axis=1)
        hours.append((paid + stalled) / 3600)
        seconds.append(clock)
    return _choices(hours, seconds, target_seconds, draws)


def _choices(
    hours: Sequence[Sequence[float] | Floats],
    seconds: Sequence[Sequence[float] | Floats],
    target_seconds: float,
    draws: Sequence[Draw],
) -> Choices:
    over = np.maximum(np.array(seconds) / target_seconds - 1.0, 0.0)
    return Choices(np.array(hours), over, np.array([not draw.is_failure for draw in draws]))
