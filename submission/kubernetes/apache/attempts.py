"""Attempts of an application: which one a status is of, what its driver is called, what follows it."""

import hashlib
from typing import Any

from submission.kubernetes.apache.status import Status
from submission.kubernetes.states import as_object

Json = dict[str, Any]

_LONGEST_ID = 46
_HASH_LENGTH = 36
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_MOST_ATTEMPTS = 3
"""Where the resource says nothing."""

_INFRASTRUCTURE = ("DriverStartTimedOut", "ExecutorsStartTimedOut", "SchedulingFailure")


def application_id(resource: Json, attempt: int) -> str:
    """Spark's id of an attempt, counted from 0, as the operator makes it (`generateSparkAppId`)."""
    metadata = as_object(resource.get("metadata"))
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
    plain = f"{name}-{attempt}"
    if len(plain) <= _LONGEST_ID:
        return plain
    digest = hashlib.sha256(f"{namespace}/{name}/{attempt}".encode()).digest()
    start = plain[: _LONGEST_ID - _HASH_LENGTH - 1]
    return f"{start}-{_in_base_36(int.from_bytes(digest))[:_HASH_LENGTH]}"


def driver_pod(resource: Json, conf: dict[str, str], attempt: int) -> str:
    """What Spark calls it, unless it is told a name."""
    told = conf.get("spark.kubernetes.driver.pod.name")
    return told or f"{application_id(resource, attempt)}-driver"


def is_run_again(resource: Json, status: Status, ending: str) -> bool:
    """As the operator decides it after an attempt (`ApplicationStatus.terminateOrRestart`)."""
    tolerations = as_object(as_object(resource.get("spec")).get("applicationTolerations"))
    config = as_object(tolerations.get("restartConfig"))
    if not _is_restarted(str(config.get("restartPolicy") or "Never"), ending):
        return False
    most = _limit(config, "maxRestartAttempts")
    if status.count("restartCounter", status.attempt) >= (_MOST_ATTEMPTS if most is None else most):
        return False
    limit, counter = None, ""
    after_scheduling = _limit(config, "maxRestartOnSchedulingFailure")
    if ending == "SchedulingFailure" and after_scheduling is not None:
        limit, counter = after_scheduling, "schedulingFailureRestartCounter"
    elif ending != "Succeeded":
        limit, counter = _limit(config, "maxRestartOnFailure"), "failureRestartCounter"
    return limit is None or status.count(counter, status.attempt) < limit


def _limit(config: Json, name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) else None


def _is_restarted(policy: str, ending: str) -> bool:
    if policy == "OnFailure":
        return ending != "Succeeded"
    if policy == "OnInfrastructureFailure":
        return ending in _INFRASTRUCTURE
    return policy == "Always"


def _in_base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
