"""What a status of Apache's operator means for our record of the application.

After an attempt the operator goes through one of the endings, and from there to `ResourceReleased`,
`TerminatedWithoutReleaseResources` or `ScheduledToRestart`. An ending counts at once where by the
operator's own rule no attempt can follow it; the terminated states only repeat it.
"""

from datetime import datetime
from typing import Any

from common.executions.documents import ApplicationState
from submission.causes import cause_of
from submission.driver_log import redact
from submission.kubernetes.apache.attempts import application_id, driver_pod, is_run_again
from submission.kubernetes.apache.status import State, Status
from submission.kubernetes.states import Observation, as_object, time_of

Json = dict[str, Any]

_STATES = {
    "": ApplicationState.PENDING,
    "Submitted": ApplicationState.PENDING,
    "ScheduledToRestart": ApplicationState.PENDING,
    "DriverRequested": ApplicationState.SUBMITTED,
    "DriverStarted": ApplicationState.RUNNING,
    "DriverReady": ApplicationState.RUNNING,
    "InitializedBelowThresholdExecutors": ApplicationState.RUNNING,
    "RunningHealthy": ApplicationState.RUNNING,
    "RunningWithPartialCapacity": ApplicationState.RUNNING,
    "RunningWithBelowThresholdExecutors": ApplicationState.RUNNING,
}
_ENDINGS = {
    "Succeeded": ApplicationState.COMPLETED,
    "Failed": ApplicationState.FAILED,
    "DriverEvicted": ApplicationState.FAILED,
    "DriverStartTimedOut": ApplicationState.FAILED,
    "DriverReadyTimedOut": ApplicationState.FAILED,
    "ExecutorsStartTimedOut": ApplicationState.FAILED,
    "SchedulingFailure": ApplicationState.SUBMISSION_FAILED,
}
_TERMINATED = ("ResourceReleased", "TerminatedWithoutReleaseResources")
_WITHOUT_DRIVER = ("", "Submitted", "ScheduledToRestart", "SchedulingFailure")
_RUNNING = tuple(name for name, state in _STATES.items() if state is ApplicationState.RUNNING)

_REASONS = {
    "": "Created in Kubernetes; Apache's spark-operator has not taken it up yet.",
    "Submitted": "Apache's spark-operator has taken it up, and has not asked for a driver yet.",
    "DriverEvicted": "The driver's pod was evicted from its node.",
    "DriverStartTimedOut": "The driver's pod did not start in time.",
    "DriverReadyTimedOut": "The driver did not become ready in time.",
    "ExecutorsStartTimedOut": "Too few executors started in time.",
    "SchedulingFailure": "Apache's spark-operator could not create the driver.",
}
_LOST = "Driver removed"
"""Beginning of what the operator says of a pod that is gone: its time is when it looked for it."""

_NO_END = "Apache's spark-operator has released its pods, and says nothing of how it ended."


def observe(resource: Json) -> Observation:
    """Read a resource; whatever is missing in it, or unknown here, is answered for."""
    status = Status(resource)
    metadata = as_object(resource.get("metadata"))
    conf = {str(key): str(value) for key, value in _conf(resource).items()}
    deleted_at = time_of(metadata.get("deletionTimestamp"))
    told = status.current
    if told.summary in _TERMINATED:
        told = status.last_of_attempt(_ENDINGS) or told
    is_again = status.current.summary in _ENDINGS and is_run_again(resource, status, told.summary)
    state, reason = _state_of(told, is_ending=deleted_at is not None)
    if told.summary == "ScheduledToRestart":
        ending = status.last_of_all(_ENDINGS)
        reason = _between_attempts(ending, status.attempt)
    elif is_again:
        state, reason = ApplicationState.PENDING, _between_attempts(told, status.attempt + 1)
    fields: Json = {}
    if told.summary not in _WITHOUT_DRIVER:
        fields["driver_pod"] = driver_pod(resource, conf, status.attempt)
        fields["spark_application_id"] = application_id(resource, status.attempt)
    at = _at(state, told, status)
    return Observation(
        state=state,
        reason=cause_of(redact(reason, conf)),
        at=at,
        ended_at=None if told.message.startswith(_LOST) else at,
        deleted_at=deleted_at,
        is_waiting=told.summary == "",
        created_at=time_of(metadata.get("creationTimestamp")),
        driver_pod=fields.get("driver_pod"),
        failed_attempt=status.attempt + 1 if is_again else None,
        fields=fields,
    )


def _state_of(told: State, *, is_ending: bool) -> tuple[ApplicationState | None, str]:
    """State and reason, whatever follows.

    Args:
        is_ending: Whether the resource is being deleted: then its pods are released for that.
    """
    name = told.summary
    if name in _TERMINATED:
        return (None, "") if is_ending else (ApplicationState.FAILED, f"{_NO_END} {told.message}".strip())
    if name in _STATES:
        return _STATES[name], _REASONS.get(name, "")
    if name not in _ENDINGS:
        unknown = f"Apache's spark-operator reports {name[:100]!r}, which this service does not know."
        return ApplicationState.UNKNOWN, f"{unknown} {told.message}".strip()
    return _ENDINGS[name], "" if name == "Succeeded" else _why(told)


def _why(told: State) -> str:
    """What the operator says of an ending, and what it has seen of the driver's container."""
    said = told.message or _REASONS.get(told.summary, "")
    if told.exit.get("exitCode"):
        seen = ", ".join(filter(None, (f"exit code {told.exit['exitCode']}", told.exit.get("reason"))))
        said = f"{said} ({seen})".strip()
    return said


def _between_attempts(ending: State | None, attempt: int) -> str:
    if ending is None:
        return "Apache's spark-operator is about to run it again."
    if ending.summary == "Succeeded":
        return f"Attempt {attempt} has succeeded, and Apache's spark-operator starts the next one."
    why = _why(ending)
    return f"Attempt {attempt} has failed, and Apache's spark-operator starts the next one: {why}"


def _at(state: ApplicationState | None, told: State, status: Status) -> datetime | None:
    """When the operator saw what is told first; of an end, when the driver's container ended."""
    if state is ApplicationState.SUBMITTED:
        return told.at
    if state is ApplicationState.RUNNING:
        first = status.first_of_attempt(_RUNNING)
        return first.at if first else told.at
    if told.summary in _ENDINGS and state is not ApplicationState.PENDING:
        return time_of(told.exit.get("finishedAt")) or told.at
    return None


def _conf(resource: Json) -> Json:
    return as_object(as_object(resource.get("spec")).get("sparkConf"))
