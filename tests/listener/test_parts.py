"""Parts of the listener by themselves, where Spark would take minutes, or a burst, to bring them so far."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyspark
import pytest

from common.addresses import check_uri_host
from tests.support.spark.spark_cluster import QUICK_START

Run = Callable[..., list[str]]

CHECKS = Path(__file__).parent / "java"
SPARK_JARS = Path(pyspark.__file__).parent / "jars" / "*"
NO_HOST = "spark.customExtraListener.service must be a host name or address, without underscores"


@pytest.fixture(scope="module")
def run(listener_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of `java` in the listener's own package; returns its lines."""
    classes = tmp_path_factory.mktemp("classes")
    sources = [str(path) for path in CHECKS.glob("*.java")]
    path = f"{classes}:{listener_jar}:{SPARK_JARS}"
    subprocess.run(["javac", "-proc:none", "-classpath", path, "-d", str(classes), *sources], check=True)

    def lines(name: str, *arguments: str) -> list[str]:
        command = [
            "java",
            *QUICK_START.split(),
            "-classpath",
            path,
            f"org.enelservice.listener.{name}",
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return lines


def test_an_executor_that_was_taken_in_goes_also_where_its_end_was_dropped(run: Run) -> None:
    """It never counts as one that stays, for which a healthy one would be taken in."""
    assert run("LostRemovalCheck") == [
        "told to go: size 5, staying [3, 2, 1, 0], scale-out 5",
        "not in Spark's list: size 5, staying [3, 2, 1, 0], scale-out 5",
        "its end may still come: size 5, staying [3, 2, 1, 0], scale-out 5",
        "before the audit: staying [3, 2, 1, 0]",
        "its end was dropped: size 4, staying [3, 2, 1, 0], scale-out 4, mended",
        "another one told to go, which stays: size 4, staying [3, 2, 1, 0], scale-out 4",
    ]


def test_a_full_queue_keeps_the_report_that_is_under_way(run: Run) -> None:
    full_by_number = run("FullQueueCheck", "4096", "0")
    assert full_by_number == ["job 0, dropped 0", "job 2, dropped 1", "job 3, dropped 1"]
    # 31 of a mebibyte and some bytes are less than 32 MiB.
    full_by_size = run("FullQueueCheck", "40", f"{1 << 20}")
    assert full_by_size == ["job 0, dropped 0", "job 11, dropped 10", "job 12, dropped 10"]


def test_a_report_that_the_service_fails_on_has_no_other_wait_for_it(run: Run) -> None:
    assert run("FailingReportCheck", "service") == ["job 0", "job 1"]


def test_reports_go_on_after_a_moment_without_memory(run: Run) -> None:
    assert run("FailingReportCheck", "memory") == ["job 0", "job 1"]


HOSTS = ["enel", "enel-1.spark.svc", "10.0.0.1", "::1", "fe80::1", "a.b.", "5", "1.a", "a--b"]
NO_HOSTS = ["enel_service", "a_.b", "a.b_", "_a", "node.1", "svc.3com", "1.2.3", "256.1.1.1", "1.2.3.4."]


def test_hosts_are_those_that_the_service_tells_drivers(run: Run) -> None:
    in_address = [f"[{host}]" if ":" in host else host for host in HOSTS]
    assert run("HostCheck", *in_address) == [f"http://{host}:5000" for host in in_address]
    assert [check_uri_host(host) for host in HOSTS] == HOSTS


def test_what_no_request_can_be_made_for_is_an_invalid_setting(run: Run) -> None:
    assert run("HostCheck", *NO_HOSTS, "[:::]") == [NO_HOST] * (len(NO_HOSTS) + 1)
    for host in NO_HOSTS:
        with pytest.raises(ValueError, match="not a host that drivers"):
            check_uri_host(host)


def test_a_question_that_is_given_up_before_it_is_sent_is_not_waited_for(run: Run) -> None:
    """It would hold the application's end back, whose report might then not leave in time."""
    assert run("GivenUpQuestionCheck") == ["given up"]


def test_a_reason_to_fail_is_cut_before_its_report_is_too_large(run: Run) -> None:
    assert run("TextCheck") == [f"{16 << 10}"]


def test_old_changes_of_the_scale_out_are_forgotten(run: Run) -> None:
    """The oldest one that is kept, of 10,000, stands for what was before."""
    assert run("TimelineCheck") == [
        "ScaleOutSpan[start=4, end=3, rescalingTimeRatio=0.0]",
        "ScaleOutSpan[start=5, end=4, rescalingTimeRatio=0.0]",
    ]


def test_times_that_make_no_sense_are_invalid_settings(run: Run) -> None:
    def name(setting: str) -> str:
        return f"spark.customExtraListener.{setting}"

    settings = ["restTimeout=0", "restTimeout=-5s", "flushTimeout=-1s", "busyExecutorGrace=5 s"]
    assert run("SettingCheck", *settings, "flushTimeout=0", "restTimeout= 500ms ") == [
        f"{name('restTimeout')} must be positive",
        f"{name('restTimeout')} must be positive",
        f"{name('flushTimeout')} must not be negative",
        f"{name('busyExecutorGrace')} must be seconds or a time such as 5s or 500ms",
        "taken",
        "taken",
    ]


def test_executors_that_hand_over_are_waited_for_a_day_at_most(run: Run) -> None:
    assert run("HandOverLimitCheck", "120s", "1000000d") == ["180", "86460"]
