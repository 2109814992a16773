"""What a SparkApplication's status means for our record of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.executions.documents import ApplicationState

Json = dict[str, Any]

_LONGEST_REASON = 1000
_WAITING = "Created in Kubernetes; the spark-operator has not taken it up yet."

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
    "FAILING": None,  # a moment before FAILED, or until it is tried again
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


@dataclass(frozen=True)
class Observation:
    """What one version of a resource says."""

    state: ApplicationState | None
    """None: on its way from one state to the next."""
    reason: str
    at: datetime | None
    """When the operator saw it; None where it does not say so."""
    is_waiting: bool
    """For the operator to look at it for the first time."""
    created_at: datetime | None
    driver_pod: str | None
    fields: Json
    """Of our record."""

    @property
    def is_final(self) -> bool:
        return self.state is not None and self.state.is_final


def observe(resource: Json) -> Observation:
    """Read a resource; whatever is missing in it, or unknown here, is answered for."""
    status = _object(resource.get("status"))
    application = _object(status.get("applicationState"))
    name = str(application.get("state") or "")
    state = _STATES.get(name, ApplicationState.UNKNOWN)
    reason = str(application.get("errorMessage") or "").strip() or _REASONS.get(name, "")
    if name not in _STATES:
        reason = (
            f"The spark-operator reports {name[:100]!r}, which this service does not know. {reason}".strip()
        )
    if name == "SUBMISSION_FAILED" and _is_submitted_again(resource):
        state, reason = ApplicationState.PENDING, f"The spark-operator tries again to submit it: {reason}"
    driver_pod = _object(status.get("driverInfo")).get("podName") or None
    at = _at(state, status)
    fields: Json = {}
    if driver_pod:
        fields["driver_pod"] = str(driver_pod)
    if status.get("sparkApplicationId"):
        fields["spark_application_id"] = str(status["sparkApplicationId"])
    return Observation(
        state=state,
        reason=reason[:_LONGEST_REASON],
        at=at,
        is_waiting=name in ("", "NEW"),
        created_at=_time(_object(resource.get("metadata")).get("creationTimestamp")),
        driver_pod=fields.get("driver_pod"),
        fields=fields,
    )


def _is_submitted_again(resource: Json) -> bool:
    """As the operator decides it after a failed submission."""
    policy = _object(_object(resource.get("spec")).get("restartPolicy"))
    if policy.get("type") == "Always":
        return True
    retries = policy.get("onSubmissionFailureRetries")
    attempts = _object(resource.get("status")).get("submissionAttempts") or 0
    return policy.get("type") == "OnFailure" and isinstance(retries, int) and attempts <= retries


def _at(state: ApplicationState | None, status: Json) -> datetime | None:
    if state in (ApplicationState.COMPLETED, ApplicationState.FAILED):
        return _time(status.get("terminationTime"))
    if state in (ApplicationState.SUBMITTED, ApplicationState.SUBMISSION_FAILED):
        return _time(status.get("lastSubmissionAttemptTime"))
    return None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
