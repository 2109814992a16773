"""What the plots of the pages show, as columns of numbers; the browser draws them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from common.executions.documents import ApplicationState, JobSummary, ScalingDecision
from submission.outcomes.outcomes import RunTimeline, expected_at, replacements
from training.runs.documents import TrainingRun

CURVES = 40
"""Trials, the latest, whose curves are drawn: more cannot be told apart."""

Points = list[list[float | None]]
"""Columns of one length; the first is seconds since the application started, and never goes back."""


def run_plot(
    timeline: RunTimeline,
    jobs: Sequence[JobSummary],
    decisions: Sequence[ScalingDecision],
    other_jobs: Mapping[str, Sequence[JobSummary]] = {},
) -> dict[str, Any]:
    """A run as far as it has come.

    Args:
        jobs: Of the driver in charge.
        decisions: All of the run, in their order; of their candidates those that it chose, or had.
        other_jobs: Of other drivers, by their ids.

    Returns:
        `target_seconds`; `runtime_seconds` of a run that completed, otherwise null; `executors`: seconds,
        executors, which stay until the next; `jobs`: ends of jobs with their ids; `others`: of each other
        driver its `application_id`, `executors` and `jobs`; `remaining`: seconds,
        predicted remaining runtime with the executors that it went on with, its lower and upper end (90%),
        real remaining runtime (null unless it completed).
    """
    execution = timeline.execution
    runtime = execution.runtime_seconds
    completed = execution.state is ApplicationState.COMPLETED and runtime is not None

    def seconds(moment: datetime) -> float:
        return round(max(0.0, (moment - timeline.started_at).total_seconds()), 3)

    def told(jobs: Sequence[JobSummary]) -> Points:
        return _columns([[seconds(job.end_time), float(job.job_id)] for job in jobs], 2)

    def seen(timeline: RunTimeline) -> list[list[float]]:
        return [[seconds(moment), float(count)] for moment, count in timeline.seen]

    executors = seen(timeline)
    if runtime is not None and executors:
        executors.append([max(runtime, executors[-1][0]), executors[-1][1]])
    return {
        "target_seconds": execution.global_specs.max_runtime,
        "runtime_seconds": runtime if completed else None,
        "executors": _columns(executors, 2),
        "jobs": told(jobs),
        "others": [
            {
                "application_id": application_id,
                "executors": _columns(seen(RunTimeline(execution, theirs)), 2),
                "jobs": told(theirs),
            }
            for application_id, theirs in other_jobs.items()
        ],
        "remaining": _columns(_remaining(decisions, timeline, runtime if completed else None), 5),
    }


def training_plot(run: TrainingRun) -> dict[str, Any]:
    """A training's trials so far.

    Returns:
        `trials`: number of the trial, its error, best error so far; `curves`: epochs, then a column for
        each trial with its error at the best epoch so far, null where it has none.
    """
    best: float | None = None
    rows: list[list[float | None]] = []
    for number, trial in enumerate(run.trials, start=1):
        if trial.loss is not None and trial.state != "ERROR":
            best = trial.loss if best is None else min(best, trial.loss)
        rows.append([float(number), trial.loss, best])
    curves = [dict(trial.curve) for trial in run.trials[-CURVES:]]
    epochs = sorted({epoch for curve in curves for epoch in curve})
    return {
        "trials": _columns(rows, 3),
        "curves": [epochs, *([curve.get(epoch) for epoch in epochs] for curve in curves)],
    }


def _remaining(
    decisions: Sequence[ScalingDecision], timeline: RunTimeline, runtime_seconds: float | None
) -> Points:
    rows: Points = []
    replaced = replacements(decisions, timeline)
    for decision in decisions:
        at = decision.elapsed_seconds
        expected = expected_at(decision, replaced.get(decision.id), timeline)
        if expected is None:
            continue
        real = None if runtime_seconds is None else max(0.0, runtime_seconds - at)
        predicted = expected.remaining_seconds
        rows.append([at, predicted, expected.lower_seconds, expected.upper_seconds, real])
    return rows


def _columns(rows: Sequence[Sequence[float | None]], width: int) -> Points:
    ordered = sorted(rows, key=lambda row: row[0] or 0.0)
    return [[row[column] for row in ordered] for column in range(width)]
