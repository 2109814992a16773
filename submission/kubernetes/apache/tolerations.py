"""How long an application may wait, how often it is tried again, and what stays of it."""

from typing import Any

Json = dict[str, Any]

_FOR_EVER = 2**31 - 1
_MOST_MILLIS = 2**63 - 1
_RETAIN_MILLIS = 3_600_000
"""For so long a driver that has ended keeps its pod, for a service that was away to read its log."""

_WAITS = {
    "driverStartTimeoutMillis": 0,
    "driverReadyTimeoutMillis": 0,
    "executorStartTimeoutMillis": 0,
}
"""Zero: for ever, as with the other operator. After five minutes, the default, a cluster that is full would
end applications that wait for room."""


def tolerations(spec: Json) -> Json:
    """The resource's `applicationTolerations`."""
    found: Json = {
        "applicationTimeoutConfig": dict(_WAITS),
        "restartConfig": _restarts(spec.get("restartPolicy", {})),
        "resourceRetainPolicy": "Always",
        "resourceRetainDurationMillis": _RETAIN_MILLIS,
    }
    if (seconds := spec.get("timeToLiveSeconds")) is not None:
        found["ttlAfterStopMillis"] = _millis(seconds)
    return found


def _restarts(policy: Json) -> Json:
    """The other operator's pause grows with each attempt; here it stays."""
    kind = policy.get("type", "Never")
    if kind == "Never":
        return {"restartPolicy": kind}
    config: Json = {"restartPolicy": kind, "maxRestartAttempts": _FOR_EVER}
    if kind == "OnFailure":
        after_failure = policy.get("onFailureRetries", 0)
        after_submission = policy.get("onSubmissionFailureRetries", 0)
        config |= {
            "maxRestartAttempts": min(_FOR_EVER, after_failure + after_submission),
            "maxRestartOnFailure": after_failure,
            "maxRestartOnSchedulingFailure": after_submission,
        }
    if seconds := policy.get("onFailureRetryInterval"):
        config |= {
            "restartBackoffMillis": _millis(seconds),
            "restartBackoffMillisForFailure": _millis(seconds),
        }
    if seconds := policy.get("onSubmissionFailureRetryInterval"):
        config["restartBackoffMillisForSchedulingFailure"] = _millis(seconds)
    return config


def _millis(seconds: int) -> int:
    return min(_MOST_MILLIS, seconds * 1000)
