"""Applications of which there is no recording: what is true of them is known.

Recordings at hand are few, and constants were chosen on them. These have what others may have: hardly any
use of executors, perfect use, all of it at one end, a change point; noise of 5 to 40%; failures from none
to half of the runs. What a run shows beyond its law is drawn as it is recorded: as a whole (a slow
cluster), job by job, and now and then a job that takes far longer.

Axes: R draws, J jobs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.ellis_data import FAILURE_RUNS, PROFILING_RUNS
from benchmarks.policies import CurveForecasts, Steered
from benchmarks.simulator import (
    MAX_SCALE_OUT,
    MIN_SCALE_OUT,
    Application,
    Conditions,
    Regime,
    SimulatedRun,
    profiling_scale_outs,
)
from common.settings.prediction import PredictionSettings
from prediction.forecasts.method import Method
from training.history.values import RunRecord
from training.statistics.arrays import Floats

DRAWS = 200
JOB_NOISE = 0.15
"""Standard deviation of the log of a job's own runtime, about its run's."""
STRAGGLERS, STRAGGLING = 0.02, 2.5
"""Share of jobs that take so many times as long."""
STALL_SECONDS = (5.0, 45.0)
RECORDED = ("flat", "Amdahl", "cliff")
RECORDED_NOISE = (0.05, 0.2)
TARGET_SCALE_OUT, TARGET_SHARE = 20, 0.75
"""A target is what this share of runs without failures keeps at that scale-out."""


@dataclass(frozen=True)
class Kind:
    """How an application uses its executors."""

    seconds: Callable[[Floats], Floats]
    """Of a whole run without noise, at scale-outs (X,)."""
    jobs: int = 18


KINDS: Mapping[str, Kind] = {
    "flat": Kind(lambda x: np.full(x.shape, 480.0), 24),
    "parallel": Kind(lambda x: 7200.0 / x),
    "Amdahl": Kind(lambda x: 180.0 + 4800.0 / x, 22),
    "steep at one end": Kind(lambda x: 420.0 * np.maximum(10.0 / x, 1.0) ** 1.3),
    "cliff": Kind(lambda x: np.where(x < 18, 1500.0, 420.0) * (18.0 / x) ** 0.3),
    "slower again": Kind(lambda x: 200.0 + 2400.0 / x + 6.0 * x),
}


@dataclass(frozen=True)
class MadeUpApplication(Application):
    """An application whose law is given: no lines in logs have to be fitted to it."""

    law: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Seconds of each job without noise at scale-outs from 0 on, (MAX_SCALE_OUT + 1, J)."""

    def seconds(self, scale_out: int, residual_quantile: float, change_point: float = 0.5) -> Floats:
        drawn = self.regimes[0].residuals
        residual = drawn[int(residual_quantile * len(drawn))]
        return np.asarray(self.law[min(scale_out, len(self.law) - 1)] * np.exp(residual))


def make_application(name: str, noise: float, seed: int = 0) -> MadeUpApplication:
    """Make one of `KINDS`.

    Args:
        noise: Standard deviation of the log of a whole run's runtime.
    """
    kind, random = KINDS[name], np.random.default_rng([seed, len(name)])
    share = random.lognormal(0.0, 1.0, kind.jobs)  # a few jobs carry the time
    x = np.maximum(np.arange(MAX_SCALE_OUT + 1, dtype=np.float64), 1.0)
    law = kind.seconds(x)[:, None] * (share / share.sum())
    runs = random.normal(0.0, noise, (DRAWS, 1))
    residuals = runs + random.normal(0.0, JOB_NOISE, (DRAWS, kind.jobs))
    residuals += np.log(STRAGGLING) * (random.random((DRAWS, kind.jobs)) < STRAGGLERS)
    middle = law[(MIN_SCALE_OUT + MAX_SCALE_OUT) // 2]
    order = np.argsort((middle * np.exp(residuals)).sum(axis=1))
    regime = Regime(np.log(middle), np.zeros(kind.jobs), residuals[order])
    stalls = random.uniform(*STALL_SECONDS, 20)
    return MadeUpApplication(f"{name}, {noise:.0%}", (regime,), np.zeros(1), stalls, law)


def recorded_runs(
    application: Application, seed: int, scale_outs: Callable[[list[RunRecord]], int], failing: frozenset[int]
) -> list[RunRecord]:
    """Runs of an application, as somebody would have recorded them.

    Args:
        scale_outs: The next run's, from the runs before it.
        failing: Numbers of runs in which executors die.
    """
    runs: list[RunRecord] = []
    for number in range(1, 66):
        run = SimulatedRun(application, number, seed, number in failing, Conditions())
        runs.append(replace(run.play(scale_outs(runs)), run_id=str(number)))
    return runs


def kept_seconds(application: Application, seed: int) -> float:
    """A target for an application: what three in four runs keep at scale-out 20, when nothing dies."""
    runs = [SimulatedRun(application, number, seed, False, Conditions()) for number in range(1, 66)]
    seconds = [run.job_seconds([TARGET_SCALE_OUT]).sum() for run in runs]
    return float(np.quantile(seconds, TARGET_SHARE))


def made_up_recordings(
    names: Sequence[str] = RECORDED, noise: Sequence[float] = RECORDED_NOISE, seed: int = 0
) -> dict[str, tuple[list[RunRecord], float]]:
    """Recordings of made-up applications, as those at hand were made, and their targets in minutes.

    After the profiling runs each gets what Ernest's curve over all runs before it says about its target;
    executors die in the same runs as in the recordings.
    """
    found = {}
    for application in (make_application(name, of, seed) for name in names for of in noise):
        target, first = kept_seconds(application, seed), profiling_scale_outs(seed, PROFILING_RUNS)
        candidates = range(MIN_SCALE_OUT, MAX_SCALE_OUT + 1)
        curve = Steered(
            "static_margin",
            CurveForecasts(candidates, Method.ERNEST),
            PredictionSettings(static_margin=1.0),
        )

        def scale_out(
            runs: list[RunRecord], curve: Steered = curve, target: float = target, first: list[int] = first
        ) -> int:
            return first[len(runs)] if len(runs) < len(first) else curve.initial(runs, target)

        found[application.name] = (recorded_runs(application, seed, scale_out, FAILURE_RUNS), target / 60)
    return found
