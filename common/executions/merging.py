"""What a reported event says of the stored documents, and how it changes a job that is stored already."""

from typing import Any

from common.executions.documents import ApplicationExecution, JobExecution, StageExecution
from common.wire.events import ApplicationStarted, JobEnded, StageUpdate

_JOB_FIELDS = {
    "start_time",
    "end_time",
    "start_scale_out",
    "end_scale_out",
    "predicted_scale_out",
    "rescaling_time_ratio",
    "job_result",
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
        **event.model_dump(include=_JOB_FIELDS),
    )


def merge_job(stored: JobExecution, event: JobEnded) -> JobExecution:
    """The job after another event about it; complete reports give the same result in any order.

    The event with the later end wins for the job's own fields; what it does not say is kept. Of
    each stage the highest attempt is kept, and a stage that ran is never replaced by "skipped".
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
        if present is None or (
            stage is not None
            and (stage.attempt_id > present.attempt_id or (newer and stage.attempt_id == present.attempt_id))
        ):
            stages[key] = stage
    return stored.model_copy(update={**fields, "stages": stages})


def _stages(event: JobEnded) -> dict[str, StageExecution | None]:
    return {key: _stage(key, stage) if stage else None for key, stage in event.stages.items()}


def _stage(stage_id: str, stage: StageUpdate) -> StageExecution:
    fields = stage.model_dump(exclude={"stage_id", "failure_reason"})
    return StageExecution(stage_id=stage_id, failure_reason=stage.failure_reason or "", **fields)
