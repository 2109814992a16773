"""What the service is compared with: curves over the whole rest of a run, and Ellis's rule.

Ernest and Bell predict a run as a whole: one curve over what earlier runs took from the same job to
their end. Ellis has one of Ernest's curves for every job (`prediction.scale_out_curves.ernest_forecast`)
and rescales by a rule of its own. None of them knows how sure it is: medians decide.

Sources: Venkataraman et al., Ernest, NSDI 2016; Thamsen et al., Bell, IPCCC 2016; Thamsen et al.,
Ellis: Dynamically Scaling Distributed Dataflows to Meet Runtime Targets, CloudCom 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from prediction.forecast import Forecast, nothing
from prediction.scale_out import Choice, RuntimeForecast
from prediction.scale_out_curves import (
    LOG_STD_FLOOR,
    UNVALIDATED_LOG_STD,
    ernest_forecast,
    fit_bell,
    fit_ernest,
)
from training.evidence.similarity import similarity
from training.evidence.table import Evidence, collect, expected_jobs, usable
from training.history.values import RunContext, RunRecord
from training.statistics.arrays import Floats
from training.statistics.predictive_std import even_spread

CurveName = Literal["ernest", "bell", "ernest-per-job"]


class Curve(NamedTuple):
    """What a baseline forecasts with."""

    label: str
    name: CurveName


CURVES: Mapping[str, Curve] = {
    "ernest": Curve("Ernest's curve of whole runs", "ernest"),
    "bell": Curve("Bell's curve of whole runs", "bell"),
    "ellis": Curve("Ernest's curves, one per job", "ernest-per-job"),
}
"""By the name of the solution."""

WHOLE_RUN_CURVES = {"ernest": fit_ernest, "bell": fit_bell}

LEFT_OUT_RUNS = 20
"""Most recent runs that are left out to see how wrong a curve is; Bell fits many curves for each."""

LOWEST, HIGHEST, AIM = 0.85, 1.05, 0.9
"""Ellis leaves a run alone while what follows its next job takes between the first two of the time
then left, and otherwise asks for what takes less than the third."""


@dataclass(frozen=True)
class CurveRequest:
    """What a worker needs for a curve; picklable."""

    name: CurveName
    history: tuple[RunRecord, ...]
    context: RunContext
    after_job_id: int
    """Last finished job, -1 before the run."""
    candidates: tuple[int, ...]


def forecast_with_curve(request: CurveRequest) -> Forecast:
    """The rest of a run from one curve over the rests of earlier runs in the nearest contexts, or from many.

    With one, what is left after each further job is the same share of it as in earlier runs.
    """
    candidates, after = request.candidates, request.after_job_id
    if request.name == "ernest-per-job":
        return ernest_forecast(request.history, after, candidates, context=request.context)
    runs = usable(request.history)
    if not runs:
        return nothing(candidates, "no earlier run has a finished job")
    if not candidates:
        return nothing(candidates, "there is no candidate scale-out")
    near = similarity([run.context for run in runs], request.context)
    runs = [run for run, value in zip(runs, near, strict=True) if value >= 0.5 * near.max()]
    evidence = collect(runs)
    ids = np.array(evidence.graph.job_ids)
    jobs = np.flatnonzero((ids > after) & expected_jobs(evidence, request.context))
    if not len(jobs):
        return nothing(candidates, f"history knows no job after {after}")
    left, scale_out = _rests(evidence, int(jobs[0]))
    shown = np.isfinite(scale_out) & (left[:, jobs[0]] > 0)
    if not shown.any():
        return nothing(candidates, f"no earlier run shows what is left after job {after}")
    left, x = left[shown], scale_out[shown]
    y = left[:, jobs[0]]
    fit = WHOLE_RUN_CURVES[request.name]
    whole = np.maximum(fit(x, y).predict(candidates), 1e-3)
    shares = np.minimum.accumulate(np.median(left[:, jobs] / y[:, None], axis=0))
    errors = []
    for row in range(max(0, len(x) - LEFT_OUT_RUNS), len(x)) if len(x) >= 3 else ():
        others = np.arange(len(x)) != row
        errors.append(np.log(max(float(fit(x[others], y[others]).predict(x[row])[0]), 1e-3) / y[row]))
    std = float(np.sqrt(np.mean(np.square(errors)))) if errors else UNVALIDATED_LOG_STD
    std = float(np.clip(std, LOG_STD_FLOOR, 1.5))
    return Forecast(
        job_ids=tuple(map(int, ids[jobs])),
        candidates=candidates,
        remaining_seconds=tuple(tuple(map(float, seconds * shares)) for seconds in whole),
        spreads=(even_spread(std),) * len(candidates),
    )


def choose_by_ellis(
    forecasts: Sequence[RuntimeForecast],
    after_next_seconds: Sequence[float],
    budget_seconds: float,
    current_scale_out: int,
) -> Choice:
    """Ellis's rule, corrected: what is asked for is the scale-out that was found, not the present one.

    Args:
        forecasts: Of everything that is left, per candidate, at least one.
        after_next_seconds: What is left of it once the next job has ended; empty where that is the last.
        budget_seconds: What is left of the runtime target.
        current_scale_out: What the run has now.
    """
    now = min(range(len(forecasts)), key=lambda i: abs(forecasts[i].scale_out - current_scale_out))
    if not len(after_next_seconds):
        return Choice(
            forecasts[now],
            forecasts[now].remaining_seconds <= budget_seconds,
            "no job follows the next one: the scale-out stays",
        )
    left = budget_seconds - (forecasts[now].remaining_seconds - after_next_seconds[now])
    if forecasts[now].scale_out == current_scale_out and (
        LOWEST * left <= after_next_seconds[now] <= HIGHEST * left
    ):
        return Choice(forecasts[now], True, "what follows the next job fits the time then left")
    fitting = [i for i, seconds in enumerate(after_next_seconds) if seconds < AIM * left]
    if fitting:
        chosen = min(fitting, key=lambda i: forecasts[i].scale_out)
        return Choice(
            forecasts[chosen],
            True,
            f"smallest scale-out with which what follows the next job takes less than {AIM:.0%}"
            f" of the {left:.1f} s then left",
        )
    fastest = min(range(len(forecasts)), key=lambda i: (after_next_seconds[i], forecasts[i].scale_out))
    return Choice(
        forecasts[fastest],
        False,
        f"no scale-out is expected to stay within {budget_seconds:.1f} s; this is the fastest",
    )


def _rests(evidence: Evidence, first: int) -> tuple[Floats, Floats]:
    """Seconds from before each job to the end, (R, J), and what scale-out the rest had, (R,).

    The scale-out is that from job `first` on, a mean over the jobs' time; NaN without any.
    """
    passed = np.where(np.isfinite(evidence.frontier), evidence.frontier, 0.0)
    before = np.pad(np.maximum.accumulate(passed, axis=1), ((0, 0), (1, 0)))[:, :-1]
    left = np.maximum(evidence.total[:, None] - before, 0.0)
    seconds = np.exp(np.nan_to_num(evidence.log_job_runtime[:, first:], nan=-np.inf))
    log_scale_out = 0.5 * np.log(evidence.start_scale_out * evidence.end_scale_out)[:, first:]
    total = seconds.sum(axis=1)
    mean = np.where(seconds > 0, seconds * log_scale_out, 0.0).sum(axis=1) / np.where(
        total > 0, total, np.nan
    )
    return left, np.asarray(np.exp(mean))
