"""Parts of the listener by themselves, where Spark would take minutes, or a burst, to bring them so far."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyspark
import pytest

Run = Callable[..., list[str]]

CHECKS = Path(__file__).parent / "java"
SPARK_JARS = Path(pyspark.__file__).parent / "jars" / "*"


@pytest.fixture(scope="module")
def run(listener_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of `java` in the listener's own package; returns its lines."""
    classes = tmp_path_factory.mktemp("classes")
    sources = [str(path) for path in CHECKS.glob("*.java")]
    path = f"{classes}:{listener_jar}:{SPARK_JARS}"
    subprocess.run(["javac", "-proc:none", "-classpath", path, "-d", str(classes), *sources], check=True)

    def lines(name: str, *arguments: str) -> list[str]:
        command = ["java", "-classpath", path, f"org.enelservice.listener.{name}", *arguments]
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
    assert run("FullQueueCheck") == ["job 0, dropped 0", "job 2, dropped 1", "job 3, dropped 1"]
