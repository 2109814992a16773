"""What a reported event says of the stored documents, and how it changes a job that is stored already."""

from typing import Any

from common.executions.documents import ApplicationExecution, JobExecution, StageExecution
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded, StageUpdate

_JOB_FIELDS = {
    "start_time",
    "end_time",
    "start_scale_out",
    "end_scale_out",
    "predicted_scale_out",
    "rescaling_time_ratio",
    "job_result",
}


NOTHING_TOLD: dict[str, Any] = {
    "reported_end_time": None,
    "ended_jobs": None,
    "refused_reports": 0,
    "dropped_reports": 0,
}
"""What a driver that takes charge has told of its end and of its reports so far."""


def lost_reports(execution: ApplicationExecution, event: JobEnded | ApplicationEnded) -> dict[str, int]:
    """How many reports never got through, by the driver in charge: the most that it has told."""
    return {
        name: max(getattr(execution, name), told)
        for name in ("refused_reports", "dropped_reports")
        if (told := getattr(event, name))
    }


def application_fields(event: ApplicationStarted) -> dict[str, Any]:
    """What the application execution learns; an omitted field erases nothing."""
    return event.model_dump(exclude_none=True)


def new_job(event: JobEnded, execution: ApplicationExecution, signature: str | None) -> JobExecution:
    """The document of a job of which nothing is stored yet."""
    return JobExecution(
        application_execution_id=execution.id,
        application_id=event.application_id,
        job_id=event.job_id,
        global_specs=execution.global_specs,
        optional_specs=execution.optional_specs,
        application_signature=signature,
        stages=_stages(event),
        stages_left_out=event.stages_left_out,
        **{name: getattr(event, name) for name in _JOB_FIELDS},
    )


def merge_job(stored: JobExecution, event: JobEnded) -> JobExecution:
    """The job after another event about it; complete reports give the same result in any order.

    The event with the later end wins for the job's own fields; what it does not say is kept. Attempts
    of a stage become one, and a stage that ran is never replaced by "skipped".
    """
    newer = event.end_time > stored.end_time
    reported = event.model_dump(include=_JOB_FIELDS, exclude_none=True)
    fields = (
        reported
        if newer
        else {name: value for name, value in reported.items() if getattr(stored, name) is None}
    )
    stages = dict(stored.stages)
    for key, stage in _stages(event).items():
        present = stages.get(key)
        if present is None:
            stages[key] = stage
        elif stage is not None and _attempts(stage) != _attempts(present):
            stages[key] = _whole(present, stage)
        elif stage is not None and newer:
            stages[key] = stage
    left_out = max(stored.stages_left_out, event.stages_left_out)
    return stored.model_copy(update={**fields, "stages": stages, "stages_left_out": left_out})


def _attempts(stage: StageExecution) -> tuple[int, int]:
    """The latest one, and how many."""
    return stage.attempt_id, stage.num_attempts


def _whole(one: StageExecution, other: StageExecution) -> StageExecution:
    """Reports about attempts of a stage as one; either may stand for several, and for the other, too.

    Later attempts only make up for what was lost: tasks and metrics are those of the largest.
    """
    latest, earlier = sorted((one, other), key=_attempts, reverse=True)
    first = min(stage.attempt_id - stage.num_attempts for stage in (latest, earlier))
    largest = max(latest, earlier, key=lambda stage: stage.num_tasks)
    longest = max(latest, earlier, key=_seconds)
    fields: dict[str, Any] = {
        "num_attempts": latest.attempt_id - first,
        "num_tasks": largest.num_tasks,
        "metrics": largest.metrics,
        "failure_reason": latest.failure_reason or earlier.failure_reason,
        "rescaling_time_ratio": longest.rescaling_time_ratio,
    }
    if earlier.start_time and (latest.start_time is None or earlier.start_time < latest.start_time):
        fields |= {"start_time": earlier.start_time, "start_scale_out": earlier.start_scale_out}
    if earlier.end_time and (latest.end_time is None or earlier.end_time > latest.end_time):
        fields |= {"end_time": earlier.end_time, "end_scale_out": earlier.end_scale_out}
    return latest.model_copy(update=fields)


def _seconds(stage: StageExecution) -> float:
    if stage.start_time is None or stage.end_time is None:
        return 0.0
    return (stage.end_time - stage.start_time).total_seconds()


def _stages(event: JobEnded) -> dict[str, StageExecution | None]:
    return {key: _stage(key, stage) if stage else None for key, stage in event.stages.items()}


def _stage(stage_id: str, stage: StageUpdate) -> StageExecution:
    fields = vars(stage) | {"stage_id": stage_id, "failure_reason": stage.failure_reason or ""}
    if stage.metrics is not None:
        fields["metrics"] = vars(stage.metrics)
    return StageExecution.model_validate(fields)
