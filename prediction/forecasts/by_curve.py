"""Forecasts of what the service is compared with: curves over the remaining runtime.

Ernest and Bell predict a run as a whole: one curve over what earlier runs took from the same job to
their end. Ellis has one of Ernest's curves for every job (`curves.ernest_forecast`).

Sources: Venkataraman et al., Ernest, NSDI 2016; Thamsen et al., Bell, IPCCC 2016; Thamsen et al.,
Ellis: Dynamically Scaling Distributed Dataflows to Meet Runtime Targets, CloudCom 2017.
"""

from dataclasses import dataclass, replace

import numpy as np

from prediction.forecasts.curves import (
    CURVE_LOG_STD_FLOOR,
    UNVALIDATED_CURVE_LOG_STD,
    ernest_forecast,
    fit_bell,
    fit_ernest,
    nearest_runs,
)
from prediction.forecasts.forecast import Forecast, nothing
from prediction.forecasts.learned_history import LearnedHistory
from prediction.forecasts.method import Method
from training.evidence.learned import learn_from
from training.evidence.place import place_of
from training.evidence.table import MAX_HISTORY_RUNS, Evidence, usable
from training.history.condensed import condensed_jobs
from training.history.values import JobRecord, RunContext, RunRecord
from training.statistics.arrays import Floats
from training.statistics.predictive_std import symmetric_std

WHOLE_RUN_CURVES = {Method.ERNEST: fit_ernest, Method.BELL: fit_bell}

LEFT_OUT_RUNS = 20
"""Most recent runs that are left out to see how wrong a curve is; Bell fits many curves for each."""


@dataclass(frozen=True)
class CurveRequest:
    """Request to a worker for a forecast by a curve; picklable."""

    method: Method
    """Any but the model."""
    history: tuple[RunRecord, ...] | LearnedHistory
    context: RunContext
    after_job_id: int
    """Last finished job, -1 before the run."""
    candidates: tuple[int, ...]
    jobs: tuple[JobRecord, ...] = ()
    """Finished so far: by what they are, the run is found among earlier ones."""


def forecast_with_curve(request: CurveRequest) -> Forecast:
    """Remaining runtimes from one curve over those of earlier runs in the nearest contexts, or from many.

    With one, what is left after each further job is the same share of it as in earlier runs.
    """
    candidates, after = request.candidates, request.after_job_id
    history, jobs_so_far = request.history, request.jobs
    if isinstance(history, LearnedHistory):  # whose jobs are condensed: those of the run have to look alike
        # The latest of the nearest: runs in other contexts must not take their place.
        nearest = nearest_runs(history.records, request.context)[-MAX_HISTORY_RUNS:]
        found = forecast_with_curve(
            replace(request, history=tuple(nearest), jobs=condensed_jobs(jobs_so_far))
        )
        return replace(found, seen_scale_out=history.seen_scale_out)
    if request.method is Method.ERNEST_PER_JOB:
        return ernest_forecast(history, after, candidates, context=request.context, finished=jobs_so_far)
    runs = usable(history)
    if not runs:
        return nothing(candidates, "no earlier run has a finished job")
    if not candidates:
        return nothing(candidates, "there is no candidate scale-out")
    most = max(run.most_executors for run in runs)
    evidence, _ = learn_from(nearest_runs(runs, request.context))
    place = place_of(evidence, RunRecord("", request.context, 0.0, jobs_so_far), after)
    jobs = np.flatnonzero(place.ahead)
    if not len(jobs):
        return nothing(candidates, f"history knows no job after {after}")
    left, scale_out = _remaining_seconds(evidence, int(jobs[0]))
    shown = np.isfinite(scale_out) & (left[:, jobs[0]] > 0)
    if not shown.any():
        return nothing(candidates, f"no earlier run shows what is left after job {after}")
    left, x = left[shown], scale_out[shown]
    y = left[:, jobs[0]]
    fit = WHOLE_RUN_CURVES[request.method]
    whole = np.maximum(fit(x, y).predict(candidates), 1e-3)
    shares = np.minimum.accumulate(np.median(left[:, jobs] / y[:, None], axis=0))
    errors = []
    for row in range(max(0, len(x) - LEFT_OUT_RUNS), len(x)) if len(x) >= 3 else ():
        others = np.arange(len(x)) != row
        errors.append(np.log(max(float(fit(x[others], y[others]).predict(x[row])[0]), 1e-3) / y[row]))
    std = float(np.sqrt(np.mean(np.square(errors)))) if errors else UNVALIDATED_CURVE_LOG_STD
    std = float(np.clip(std, CURVE_LOG_STD_FLOOR, 1.5))
    return Forecast(
        job_ids=place.job_ids,
        candidates=candidates,
        remaining_seconds=tuple(tuple(map(float, seconds * shares)) for seconds in whole),
        predictive_stds=tuple(map(symmetric_std, np.hypot(std, place.spread(whole)).tolist())),
        note=place.note,
        seen_scale_out=most,
    )


def _remaining_seconds(evidence: Evidence, first: int) -> tuple[Floats, Floats]:
    """Seconds from before each job to the end, (R, J), and the scale-out of what followed, (R,).

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
