"""The one jar on another Spark than that it was built against, and where it cannot work."""

import os
import zipfile
from pathlib import Path

import pytest

from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService
from tests.support.spark.spark_cluster import listener_conf, listener_lines, submit

pytestmark = pytest.mark.spark

OUTPUT = ["sum 45", "sum 190", "sum 435"]
SPARK_3_5 = "ENEL_TEST_SPARK_3_5_HOME"


def test_spark_3_5_with_its_other_scala(listener_jar: Path, tmp_path: Path) -> None:
    home = os.environ.get(SPARK_3_5)
    if not home:
        pytest.skip(f"{SPARK_3_5} names no folder of an installed Spark 3.5, such as …/site-packages/pyspark")
    with RecordingService() as service:
        application = submit(
            listener_jar,
            "local[1]",
            tmp_path / "run",
            "few_small_jobs.py",
            [],
            listener_conf(service.port, isAdaptive="false"),
            spark_home=Path(home),
        )
    assert application.status == 0, application.errors
    assert application.output.splitlines() == OUTPUT
    log = EventLog.read(application.event_log_folder)
    assert log.spark_version.startswith("3.5.")
    reported = {body["job_id"]: body["updates"] for body in service.events("JOB_END")}
    assert reported == log.jobs()
    assert not [line for line in listener_lines(application) if " WARN " in line]


def test_a_java_that_is_too_old_is_told_and_harms_nothing(listener_jar: Path, tmp_path: Path) -> None:
    with RecordingService() as service:
        conf = listener_conf(service.port)
        application = submit(listener_jar, "local[1]", tmp_path / "run", "on_an_old_java.py", [], conf)
    assert application.status == 0, application.errors
    assert application.output == "sum 45\n"
    assert not service.requests
    (line,) = listener_lines(application)
    assert "it needs Java 17, this is Java 11" in line


def test_entry_point_is_readable_by_the_oldest_java(listener_jar: Path) -> None:
    with zipfile.ZipFile(listener_jar) as jar:
        entry = jar.read("org/enelservice/listener/EnelPlugin.class")
        driver = jar.read("org/enelservice/listener/EnelDriverPlugin.class")
    assert (int.from_bytes(entry[6:8]), int.from_bytes(driver[6:8])) == (52, 61)  # of Java 8 and 17
