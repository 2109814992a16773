"""Failed states that a driver's own reports contradict; pure."""

from datetime import datetime
from typing import Any

from common.executions.documents import DRIVER_SILENCE, WHOLE_SECONDS, ApplicationExecution, ApplicationState
from common.mongo.document import utc_now
from common.wire.events import ApplicationStarted, JobEnded

Json = dict[str, Any]


def noted_after_end(execution: ApplicationExecution, event: ApplicationStarted | JobEnded) -> Json:
    """What an execution that has ended learns from a report that said something new."""
    if not execution.state.is_final:
        return {}
    now = utc_now()
    contradicted = {"contradicted_at": now} if contradicts(execution, event) else {}
    return {"reported_after_end_at": now, **contradicted}


def contradicts(execution: ApplicationExecution, event: ApplicationStarted | JobEnded) -> bool:
    """Whether what is reported happened although the execution had failed by then.

    A report that is merely late does not, nor what a driver says that is being ended on request.
    """
    if not execution.state.is_failure or execution.stop_reason is not None:
        return False
    if execution.state is ApplicationState.SUBMISSION_FAILED and execution.start_time is None:
        return True  # nothing was to run at all
    happened_at = event.start_time if isinstance(event, ApplicationStarted) else event.end_time
    ended_at = _ended_at(execution)
    return ended_at is not None and happened_at > ended_at + WHOLE_SECONDS


def nowhere_found(execution: ApplicationExecution) -> str:
    """What is known of a driver that reports, and that its platform does not know."""
    at = execution.contradicted_at
    latest = f", at {at:%Y-%m-%d %H:%M:%S} UTC for the last time" if at else ""
    return (
        f"The application execution {execution.id} is {execution.state}, and its runner ({execution.runner})"
        f" has no process of it. Its driver reports as {execution.application_id or 'a Spark application'}"
        f"{latest}: from another machine, or it has ended since. Once it has been silent for"
        f" {DRIVER_SILENCE.total_seconds() / 60:.0f} minutes, its name is free."
    )


def silent_since() -> datetime:
    """Drivers that have not reported since then are taken to have ended."""
    return utc_now() - DRIVER_SILENCE


def _ended_at(execution: ApplicationExecution) -> datetime | None:
    """By the platform; a report may have moved `end_time` on."""
    said = execution.platform_end_time or execution.ended_or_noticed_at
    if said is None and execution.state_changes:
        said = execution.state_changes[-1].at
    return said
