"""What a SparkApplication's status means for our record of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.executions.documents import ApplicationState
from submission.causes import cause_of
from submission.driver_log import redact

Json = dict[str, Any]

_WAITING = "Created in Kubernetes; the spark-operator has not submitted it yet, or is at it."

_LOST = "driver pod not found"
"""What the operator says of a pod that is gone: its time is when it looked for it."""

_STATES = {
    "": ApplicationState.PENDING,
    "NEW": ApplicationState.PENDING,
    "SUBMITTED": ApplicationState.SUBMITTED,
    "RUNNING": ApplicationState.RUNNING,
    "COMPLETED": ApplicationState.COMPLETED,
    "FAILED": ApplicationState.FAILED,
    "SUBMISSION_FAILED": ApplicationState.SUBMISSION_FAILED,
    "PENDING_RERUN": ApplicationState.PENDING,
    "INVALIDATING": ApplicationState.PENDING,
    "SUCCEEDING": None,  # a moment before COMPLETED, or PENDING_RERUN
    "FAILING": None,  # a moment before FAILED, unless another attempt follows
    "SUSPENDING": None,
    "SUSPENDED": ApplicationState.SUSPENDED,
    "RESUMING": ApplicationState.PENDING,
    "UNKNOWN": ApplicationState.UNKNOWN,
}
_REASONS = {
    "": _WAITING,
    "NEW": _WAITING,
    "SUBMISSION_FAILED": "The spark-operator could not submit it.",
    "PENDING_RERUN": "The spark-operator is about to run it again.",
    "INVALIDATING": "Its specification was changed: the spark-operator is about to run it again.",
    "SUSPENDED": "Suspended in Kubernetes.",
    "RESUMING": "Resumed in Kubernetes.",
    "UNKNOWN": "The spark-operator has lost sight of the driver: its node does not answer.",
}


_FIRST_YEAR = 2000
"""Go writes a time that was never set as one of the year 1, others as the beginning of 1970."""

_CLOCKS_DIFFER = timedelta(hours=1)
"""By which the platform's clock may be ahead of the service's."""


@dataclass(frozen=True)
class Observation:
    """What one version of a resource says."""

    state: ApplicationState | None
    """None: on its way from one state to the next."""
    reason: str
    at: datetime | None
    """When the operator saw it; None where it does not say so."""
    ended_at: datetime | None
    """When the driver ended; None where the operator does not say so, or had lost it by then."""
    deleted_at: datetime | None
    """When somebody asked Kubernetes to delete the resource, where that took more than a moment."""
    is_waiting: bool
    """For the operator to look at it for the first time."""
    created_at: datetime | None
    driver_pod: str | None
    failed_attempt: int | None
    """Number, from 1, of the attempt that has failed and is followed by another one after a pause."""
    fields: Json
    """Of our record."""

    @property
    def is_final(self) -> bool:
        return self.state is not None and self.state.is_final


def observe(resource: Json) -> Observation:
    """Read a resource; whatever is missing in it, or unknown here, is answered for."""
    status = as_object(resource.get("status"))
    application = as_object(status.get("applicationState"))
    name = str(application.get("state") or "")
    state = _STATES.get(name, ApplicationState.UNKNOWN)
    said = redact(str(application.get("errorMessage") or ""), _conf(resource))
    reason = cause_of(said) or _REASONS.get(name, "")
    if name not in _STATES:
        reason = (
            f"The spark-operator reports {name[:100]!r}, which this service does not know. {reason}".strip()
        )
    if name == "SUBMISSION_FAILED" and _is_submitted_again(resource):
        state, reason = ApplicationState.PENDING, f"The spark-operator tries again to submit it: {reason}"
    failed_attempt = None
    if name == "FAILING" and _is_run_again(resource):
        failed_attempt = _count(status.get("executionAttempts")) or 1
        state, reason = ApplicationState.PENDING, _between_attempts(resource, failed_attempt, reason)
    driver_pod = as_object(status.get("driverInfo")).get("podName") or None
    at = _at(state, status)
    fields: Json = {}
    if driver_pod:
        fields["driver_pod"] = str(driver_pod)
    if status.get("sparkApplicationId"):
        fields["spark_application_id"] = str(status["sparkApplicationId"])
    return Observation(
        state=state,
        reason=cause_of(reason),
        at=at,
        ended_at=None if _LOST in said.lower() else at,
        deleted_at=time_of(as_object(resource.get("metadata")).get("deletionTimestamp")),
        is_waiting=name in ("", "NEW"),
        created_at=time_of(as_object(resource.get("metadata")).get("creationTimestamp")),
        driver_pod=fields.get("driver_pod"),
        failed_attempt=failed_attempt,
        fields=fields,
    )


def _is_submitted_again(resource: Json) -> bool:
    """As the operator decides it after a failed submission."""
    return _is_tried_again(resource, "onSubmissionFailureRetries", "submissionAttempts")


def _is_run_again(resource: Json) -> bool:
    """As the operator decides it after a failed run."""
    return _is_tried_again(resource, "onFailureRetries", "executionAttempts")


def _is_tried_again(resource: Json, limit: str, attempts: str) -> bool:
    policy = _restart_policy(resource)
    if policy.get("type") == "Always":
        return True
    retries = policy.get(limit)
    made = _count(as_object(resource.get("status")).get(attempts))
    return policy.get("type") == "OnFailure" and isinstance(retries, int) and made <= retries


def _between_attempts(resource: Json, attempt: int, reason: str) -> str:
    seconds = _count(_restart_policy(resource).get("onFailureRetryInterval"))
    pause = f" about {seconds * attempt} s later" if seconds else ""
    return f"Attempt {attempt} has failed, and the spark-operator starts the next one{pause}: {reason}"


def _restart_policy(resource: Json) -> Json:
    return as_object(as_object(resource.get("spec")).get("restartPolicy"))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _conf(resource: Json) -> dict[str, str]:
    conf = as_object(as_object(resource.get("spec")).get("sparkConf"))
    return {str(key): str(value) for key, value in conf.items()}


def _at(state: ApplicationState | None, status: Json) -> datetime | None:
    if state in (ApplicationState.COMPLETED, ApplicationState.FAILED):
        return time_of(status.get("terminationTime"))
    if state in (ApplicationState.SUBMITTED, ApplicationState.SUBMISSION_FAILED):
        return time_of(status.get("lastSubmissionAttemptTime"))
    return None


def time_of(value: object) -> datetime | None:
    """A moment in ISO 8601, in UTC; None where it is none, or the zero of a clock."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return None if moment.year < _FIRST_YEAR else moment


def not_to_come(moment: datetime | None, now: datetime) -> datetime | None:
    """A moment that something may have happened at; None: nobody knows when it did."""
    return None if moment is None or moment > now + _CLOCKS_DIFFER else moment


def as_object(value: object) -> Json:
    """Anything that is none is empty."""
    return value if isinstance(value, dict) else {}
