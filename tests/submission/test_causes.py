"""Why something failed, as it stands in what was written."""

import pytest

from submission.causes import LONGEST_REASON, cause_of, fitted
from submission.driver_log import failure_reason
from submission.kubernetes.states import observe

WARNINGS = "".join(
    f"WARNING: package sun.security.action not in java.base ({number:02})\n"
    "log4j:WARN No appenders could be found for logger.\n"
    for number in range(14)
)
DENIED = (
    'pods "x-driver" is forbidden: error looking up service account default/nobody: serviceaccount "nobody"'
    " not found"
)
STACK = "".join(
    f"\tat io.fabric8.kubernetes.client.dsl.OperationSupport.{n}(O.java:{n})\n" for n in range(140)
)
UNCAUGHT = (
    'Exception in thread "main" io.fabric8.kubernetes.client.KubernetesClientException: Failure executing:'
    " POST at: https://10.96.0.1/api/v1/namespaces/default/pods. Message: "
)


@pytest.mark.parametrize("after", ["", f". Received status: Status(apiVersion=v1, {'x' * 3000})"])
def test_the_line_that_says_it_is_kept(after: str) -> None:
    message = f"{WARNINGS}{UNCAUGHT}{DENIED}{after}\n{STACK}"
    assert len(message) > 10_000
    status = {"applicationState": {"state": "SUBMISSION_FAILED", "errorMessage": message}}
    reason = observe({"status": status}).reason
    assert DENIED in reason
    assert "WARN" not in reason
    assert len(reason) <= LONGEST_REASON
    assert DENIED in failure_reason(message, {}), "the same reader of a local log"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("driver container failed with ExitCode: 137, Reason: OOMKilled", "ExitCode: 137"),
        ("spark-submit: exit status 1", "exit status 1"),
        ("Caused by: java.net.UnknownHostException: nowhere", "UnknownHostException: nowhere"),
    ],
)
def test_what_else_says_why(line: str, said: str) -> None:
    assert cause_of(f"{WARNINGS}{line}\n{STACK}") == line
    assert said in cause_of(f"{WARNINGS}{line}\n{STACK}")


@pytest.mark.parametrize(
    "cause",
    [
        "org.apache.spark.SparkException: Please specify spark.kubernetes.file.upload.path",
        "io.fabric8.kubernetes.client.KubernetesClientException: An error has occurred.",
        "driver container failed with ExitCode: 52",
        "pyspark.errors.exceptions.base.PySparkRuntimeError: [NO_ACTIVE_SESSION] none",
    ],
)
@pytest.mark.parametrize("between", ["\n", " | "])
def test_a_cause_in_the_middle_is_kept(cause: str, between: str) -> None:
    """On a line of its own, or of one line of thousands of characters."""
    message = between.join(["noise about modules " * 90, cause, "more of the same " * 300])
    reason = cause_of(message)
    assert cause in reason
    assert len(reason) <= LONGEST_REASON


def test_where_nothing_says_it_both_ends_are_kept() -> None:
    reason = cause_of("begins so " + "x" * 5000 + " ends so")
    assert reason.startswith("begins so")
    assert reason.endswith("ends so")
    assert len(reason) == LONGEST_REASON


def test_a_long_line_does_not_cost_the_others() -> None:
    reason = fitted(["a" * 5000, "Caused by: B: root"])
    assert reason.endswith("; Caused by: B: root")
    assert len(reason) <= LONGEST_REASON
    assert cause_of(" short \n") == "short"


def test_what_the_operator_quotes_is_without_secrets() -> None:
    conf = {"spark.hadoop.fs.s3a.secret.key": "abc/def"}
    status = {"applicationState": {"state": "FAILED", "errorMessage": "key abc/def, password=hunter2"}}
    assert observe({"spec": {"sparkConf": conf}, "status": status}).reason == "key ***, password=***"
