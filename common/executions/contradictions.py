"""Final states that a driver's own reports contradict; pure."""

from datetime import datetime, timedelta
from typing import Any

from common.executions.documents import (
    DRIVER_SILENCE,
    WHOLE_SECONDS,
    ApplicationExecution,
    ApplicationState,
)
from common.executions.driver_starts import end_of
from common.executions.drivers import EVENT_LOG
from common.mongo.document import utc_now
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded

Json = dict[str, Any]

_CLOCKS_DIFFER = timedelta(seconds=10)
"""So much later than a platform's regular end something has to begin, before another driver must have begun
it: the clocks of nodes differ."""


def noted_after_end(execution: ApplicationExecution, event: ApplicationStarted | JobEnded) -> Json:
    """What an execution that has ended learns from a report that said something new."""
    if not execution.state.is_final or execution.runner == EVENT_LOG:  # a log may come in any order
        return {}
    now = utc_now()
    if not contradicts(execution, event):
        return {"reported_after_end_at": now}
    by = {"contradicted_by": event.application_id, "contradiction_over": False}
    return {"reported_after_end_at": now, "contradicted_at": now, **by}


def ends_contradiction(execution: ApplicationExecution, event: ApplicationEnded) -> Json:
    """What the end of a driver changes: the one that went on has ended."""
    return {"contradiction_over": True} if execution.contradicted_by == event.application_id else {}


def contradicts(execution: ApplicationExecution, event: ApplicationStarted | JobEnded) -> bool:
    """Whether what is reported happened although the execution had ended by then.

    A report that is merely late does not, nor what a driver says that is being ended on request. Of a run
    that has completed, a job that ended late does not, either: it has to have begun after the end.
    """
    if not execution.state.may_be_contradicted or execution.stop_reason is not None:
        return False
    told = end_of(execution, event.application_id)
    happened_at = event.start_time if isinstance(event, ApplicationStarted) else event.end_time
    if told is not None and told.end_time >= happened_at:
        return False  # it has come late, and that driver has ended
    if execution.state is ApplicationState.SUBMISSION_FAILED and execution.start_time is None:
        return True  # nothing was to run at all
    ended_at = _ended_at(execution)
    if execution.state is ApplicationState.COMPLETED:
        return _is_later(event.start_time, ended_at, _CLOCKS_DIFFER)
    return _is_later(happened_at, ended_at, WHOLE_SECONDS)


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


def _is_later(one: datetime | None, other: datetime | None, by: timedelta) -> bool:
    """Differences are always small enough; sums may lie beyond all times."""
    return one is not None and other is not None and one - other > by


def _ended_at(execution: ApplicationExecution) -> datetime | None:
    """By the platform; a report may have moved `end_time` on."""
    said = execution.platform_end_time or execution.ended_or_noticed_at
    if said is None and execution.state_changes:
        said = execution.state_changes[-1].at
    return said
