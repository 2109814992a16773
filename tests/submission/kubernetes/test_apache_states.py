"""What a status of Apache's operator comes to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from submission.kubernetes.apache.attempts import application_id
from submission.kubernetes.apache.states import observe

Json = dict[str, Any]

ON_FAILURE = {"restartPolicy": "OnFailure", "maxRestartAttempts": 1, "maxRestartOnFailure": 1}


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.123456789Z"


def moment(second: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, second, 123456, tzinfo=UTC)


def resource(*states: str, attempt: int = 0, restarts: Json | None = None, **last: Any) -> Json:
    """One that went through these states, a second apart; `last` is of the last one."""
    history = [
        {"currentStateSummary": state, "lastTransitionTime": at(second)}
        for second, state in enumerate(states)
    ]
    if history:
        history[-1] |= last
    counters = dict.fromkeys(("id", "restartCounter", "failureRestartCounter"), attempt)
    return {
        "metadata": {"name": "kmeans-1", "namespace": "jobs"},
        "spec": {"applicationTolerations": {"restartConfig": restarts or {"restartPolicy": "Never"}}},
        "status": {
            "currentState": history[-1] if history else None,
            # As texts they would stand in another order: "10" before "9".
            "stateTransitionHistory": {str(number): each for number, each in enumerate(history, start=5)},
            "currentAttemptSummary": {"attemptInfo": counters},
        },
    }


STARTED = ("Submitted", "DriverRequested", "DriverStarted", "DriverReady")


@pytest.mark.parametrize(
    ("states", "ours", "second"),
    [
        (STARTED[:1], "PENDING", None),
        (STARTED[:2], "SUBMITTED", 1),
        (STARTED[:3], "RUNNING", 2),
        (STARTED, "RUNNING", 2),
        *(
            ((*STARTED, running), "RUNNING", 2)
            for running in (
                "InitializedBelowThresholdExecutors",
                "RunningHealthy",
                "RunningWithPartialCapacity",
                "RunningWithBelowThresholdExecutors",
            )
        ),
        ((*STARTED, "Succeeded"), "COMPLETED", 4),
        *(
            ((*STARTED, failed), "FAILED", 4)
            for failed in ("Failed", "DriverEvicted", "DriverReadyTimedOut", "ExecutorsStartTimedOut")
        ),
        ((*STARTED[:2], "DriverStartTimedOut"), "FAILED", 2),
        (("Submitted", "SchedulingFailure"), "SUBMISSION_FAILED", 1),
        ((*STARTED, "RunningHealthy", "Succeeded", "ResourceReleased"), "COMPLETED", 5),
        ((*STARTED, "RunningHealthy", "Failed", "TerminatedWithoutReleaseResources"), "FAILED", 5),
        (("Submitted", "SchedulingFailure", "ResourceReleased"), "SUBMISSION_FAILED", 1),
    ],
)
def test_states(states: tuple[str, ...], ours: str, second: int | None) -> None:
    observation = observe(resource(*states))
    assert observation.state == ours
    assert observation.at == (None if second is None else moment(second))
    assert observation.is_final == (ours in ("COMPLETED", "FAILED", "SUBMISSION_FAILED"))
    assert not observation.is_waiting


def test_one_that_nobody_has_looked_at() -> None:
    for status in ({}, {"status": None}, {"status": {"currentState": 7, "stateTransitionHistory": {"x": 1}}}):
        observation = observe(status)
        assert (observation.state, observation.is_waiting) == ("PENDING", True)
        assert observation.driver_pod is None


def test_why_it_failed_and_when_its_driver_ended() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:03Z"}
    driver = {"containerStatuses": [{"name": "spark-kubernetes-driver", "state": {"terminated": ended}}]}
    failed = resource(*STARTED, "Failed", message="Driver failed.", lastObservedDriverStatus=driver)
    observation = observe(failed)
    assert observation.reason == "Driver failed. (exit code 137, OOMKilled)"
    assert observation.ended_at == observation.at == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)


def test_of_a_driver_that_is_gone_nobody_knows_when_it_ended() -> None:
    message = "Driver removed. This could caused by 'exit' called in driver process"
    observation = observe(resource(*STARTED, "Failed", message=message))
    assert (observation.state, observation.ended_at) == ("FAILED", None)


def test_a_failure_before_another_attempt_is_no_end() -> None:
    failed = (*STARTED, "Failed")
    observation = observe(resource(*failed, restarts=ON_FAILURE, message="exit"))
    assert (observation.state, observation.failed_attempt) == ("PENDING", 1)
    assert observation.driver_pod == "kmeans-1-0-driver"
    reason = "Attempt 1 has failed, and Apache's spark-operator starts the next one: exit"
    assert observation.reason == reason

    between = resource(*failed, "ScheduledToRestart", attempt=1, restarts=ON_FAILURE)
    between["status"]["stateTransitionHistory"]["9"]["message"] = "exit"
    observation = observe(between)
    assert (observation.state, observation.reason, observation.driver_pod) == ("PENDING", reason, None)

    again = (*failed, "ScheduledToRestart", "DriverRequested", "DriverStarted")
    observation = observe(resource(*again, attempt=1, restarts=ON_FAILURE))
    assert (observation.state, observation.at) == ("RUNNING", moment(7))
    assert observation.fields == {
        "driver_pod": "kmeans-1-1-driver",
        "spark_application_id": "kmeans-1-1",
    }
    assert observe(resource(*again, "Failed", attempt=1, restarts=ON_FAILURE)).state == "FAILED"
    assert observe(resource(*again, "Succeeded", attempt=1, restarts=ON_FAILURE)).state == "COMPLETED"


@pytest.mark.parametrize(
    ("policy", "ending", "is_again"),
    [
        ("Always", "Succeeded", True),
        ("Always", "Failed", True),
        ("OnFailure", "Succeeded", False),
        ("OnInfrastructureFailure", "Failed", False),
        ("OnInfrastructureFailure", "SchedulingFailure", True),
        ("Never", "Failed", False),
    ],
)
def test_whether_another_attempt_follows(policy: str, ending: str, is_again: bool) -> None:
    observation = observe(resource(*STARTED, ending, restarts={"restartPolicy": policy}))
    assert (observation.state == "PENDING") == is_again
    assert observation.is_final == (not is_again)


def test_pods_that_are_released_because_it_is_deleted_are_no_end_of_it() -> None:
    released = resource(*STARTED, "RunningHealthy", "ResourceReleased")
    observation = observe(released)
    assert (observation.state, "says nothing of how" in observation.reason) == ("FAILED", True)
    released["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert observe(released).state is None


def test_a_state_of_another_version() -> None:
    observation = observe(resource("Submitted", "Paused"))
    assert (observation.state, "'Paused'" in observation.reason) == ("UNKNOWN", True)


def test_secrets_stay_out_of_reasons() -> None:
    failed = resource(*STARTED, "Failed", message="cannot log in: password=hunter2")
    assert "hunter2" not in observe(failed).reason


def test_ids_of_attempts() -> None:
    metadata = {"name": "kmeans-66f0c0ffee0123456789abcd", "namespace": "jobs"}
    assert application_id({"metadata": metadata}, 2) == "kmeans-66f0c0ffee0123456789abcd-2"
    metadata["name"] = f"gradient-boosted-trees-x-{'6' * 24}"
    long = application_id({"metadata": metadata}, 0)
    assert len(long) == 46
    assert long.startswith("gradient--")
    assert long != application_id({"metadata": metadata}, 1)
