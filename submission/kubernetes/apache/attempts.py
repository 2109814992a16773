"""Attempts of an application: which one a status is of, what its driver is called, what follows it."""

import hashlib
from typing import Any

from submission.kubernetes.apache.status import Status

Json = dict[str, Any]

_LONGEST_ID = 46
_HASH_LENGTH = 36
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_INFRASTRUCTURE = ("DriverStartTimedOut", "ExecutorsStartTimedOut", "SchedulingFailure")


def application_id(resource: Json, attempt: int) -> str:
    """Spark's id of an attempt, counted from 0, as the operator makes it (`generateSparkAppId`)."""
    metadata = resource.get("metadata", {})
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
    tolerations = resource.get("spec", {}).get("applicationTolerations") or {}
    config = tolerations.get("restartConfig") or {}
    if not _is_restarted(str(config.get("restartPolicy", "Never")), ending):
        return False
    if status.count("restartCounter", status.attempt) >= config.get("maxRestartAttempts", 3):
        return False
    limit, counter = None, ""
    if ending == "SchedulingFailure" and config.get("maxRestartOnSchedulingFailure") is not None:
        limit, counter = config["maxRestartOnSchedulingFailure"], "schedulingFailureRestartCounter"
    elif ending != "Succeeded":
        limit, counter = config.get("maxRestartOnFailure"), "failureRestartCounter"
    return limit is None or status.count(counter, status.attempt) < limit


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
