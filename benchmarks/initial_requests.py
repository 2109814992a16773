"""Recorded runs as a service would have them, and what it answers: the forecast behind a first scale-out.

A recording's columns are put where a submission has them; any other is an argument, `--name value`. Runs
are one job without stages, a minute apart, in the order of the recording, those of the context in question
last.
"""

import numpy as np

from benchmarks.initial_baselines import Array, Task
from benchmarks.recorded_runs import CORES, MACHINE, MEMORY, SIZE, RecordedJob, RecordedRun, Value
from prediction.forecasts.whole_run import WholeRunForecast, forecast_whole_run
from training.history.values import JobRecord, RunContext, RunRecord

CHARACTERISTICS = "data_characteristics"
STARTED_AT, APART_SECONDS = 1_700_000_000.0, 60.0


def as_context(job: RecordedJob, context: tuple[tuple[str, Value], ...]) -> RunContext:
    """Context as a submission says it."""
    known = dict(context)

    def whole(name: str, default: int) -> int:
        value = known.get(name, default)
        return default if isinstance(value, str) else max(round(value), 1)

    elsewhere = {MACHINE, SIZE, CORES, MEMORY, CHARACTERISTICS}
    arguments = [
        text
        for name, value in known.items()
        if name not in elsewhere
        for text in (f"--{name}", value if isinstance(value, str) else f"{value:g}")
    ]
    return RunContext(
        algorithm_name=job.name,
        algorithm_args=tuple(arguments),
        data_size_mb=whole(SIZE, 1),
        data_characteristics=str(known.get(CHARACTERISTICS, "")),
        machine_name=str(known.get(MACHINE, "unknown")),
        executor_cores=whole(CORES, 1),
        executor_memory_mb=whole(MEMORY, 512),
    )


def as_run(job: RecordedJob, run: RecordedRun, number: int) -> RunRecord:
    """A finished run, the number-th of a history."""
    scale_out = max(round(run.scale_out), 1)
    only_job = JobRecord(0, 0.0, run.runtime_seconds, scale_out, scale_out, 0.0)
    return RunRecord(
        run_id=f"run-{number:06}",
        context=as_context(job, run.context),
        started_at=STARTED_AT + APART_SECONDS * number,
        jobs=(only_job,),
        runtime_seconds=run.runtime_seconds,
    )


def answered(task: Task) -> WholeRunForecast:
    """What the service answers with all that is known as its history."""
    history = [as_run(task.job, run, number) for number, run in enumerate(task.known)]
    candidates = [round(x) for x in task.scale_outs]
    return forecast_whole_run(history, None, as_context(task.job, task.context), candidates)


def answered_within(task: Task, forecast: WholeRunForecast) -> float:
    """Share of the medians asked for that lie within the 90% interval of the answer."""
    inside = [
        candidate.lower_seconds <= seconds <= candidate.upper_seconds
        for candidate, seconds in zip(forecast.choices(1e12), task.runtimes, strict=True)
        if candidate.lower_seconds is not None and candidate.upper_seconds is not None
    ]
    return float(np.mean(np.array(inside)[task.asked]))


def medians(forecast: WholeRunForecast) -> Array:
    """Seconds at each scale-out."""
    return np.array(forecast.runtime_seconds)
