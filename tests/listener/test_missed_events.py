"""Where events do not say how things are: executors that were missed, and a driver without the plugin."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response
from tests.support.spark.several_contexts import submit_one_after_another
from tests.support.spark.spark_cluster import (
    SPARK_HOME,
    FinishedApplication,
    fixed_scale_out,
    listener_conf,
    listener_lines,
    submit,
)

pytestmark = pytest.mark.spark


def test_roster_follows_sparks_own_list(listener_jar: Path, spark_master: str, tmp_path: Path) -> None:
    marker = tmp_path / "mended"
    counted: list[int] = []

    def respond(request: Request) -> Response:
        counted.append(request.body["updates"].get("end_scale_out", 0))
        if 1 in counted and counted[-1] == 2:
            marker.touch()
        return Response()

    with RecordingService(respond) as service:
        conf = listener_conf(service.port, isAdaptive="false", initialExecutors="2", rosterGrace="1s")
        application = submit(
            listener_jar,
            spark_master,
            tmp_path / "run",
            "lost_executor_event.py",
            [str(marker)],
            conf | fixed_scale_out(2, 2),
        )
    assert application.output == "total 15 True\n", application.errors
    assert any(
        "differs from its events, and is followed: 2 executors" in line
        for line in listener_lines(application)
    )


def test_no_report_waits_for_a_slow_listener(listener_jar: Path, tmp_path: Path) -> None:
    """One that an application has brought stays at the first job's end until the last one is reported."""
    classes, heard, told = tmp_path / "classes", tmp_path / "heard", tmp_path / "told"
    spark = f"{listener_jar}:{SPARK_HOME / 'jars' / '*'}"
    source = Path(__file__).parent / "java" / "SlowListener.java"
    subprocess.run(["javac", "-proc:none", "-classpath", spark, "-d", classes, source], check=True)

    def respond(request: Request) -> Response:
        if request.event == "JOB_END" and request.body["job_id"] == 2:
            heard.touch()
        return Response()

    with RecordingService(respond) as service:
        conf = listener_conf(service.port, isAdaptive="false") | {
            "spark.extraListeners": "org.enelservice.listener.SlowListener",
            "spark.driver.extraClassPath": f"{listener_jar}:{classes}",
        }
        environment = {"SLOW_LISTENER_WAITS_FOR": str(heard), "SLOW_LISTENER_TELLS": str(told)}
        application = submit(
            listener_jar, "local[1]", tmp_path / "run", "few_small_jobs.py", [], conf, environment
        )
    assert told.read_text() == "the last job was reported", application.errors


@pytest.fixture(scope="module")
def extra(
    listener_jar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[FinishedApplication, RecordingService]]]:
    """Applications with the extra listener, beside the plugin and without it, and their services."""
    listener = {"spark.extraListeners": "org.enelservice.listener.EnelExtraListener"}
    plugins = {"alone": {"spark.plugins": ""}, "beside": {}}
    with ExitStack() as stack:
        services = {name: stack.enter_context(RecordingService()) for name in plugins}
        confs = {
            name: listener_conf(services[name].port, isAdaptive="false") | listener | plugins[name]
            for name in plugins
        }
        ended = submit_one_after_another(listener_jar, tmp_path_factory.mktemp("extra"), confs)
        yield {name: (ended[name], services[name]) for name in plugins}


def test_extra_listener_reports_where_the_plugin_is_not_loaded(
    extra: dict[str, tuple[FinishedApplication, RecordingService]],
) -> None:
    """As in a program that asks for Spark Connect, which replaces `spark.plugins`."""
    application, service = extra["alone"]
    assert application.status == 0, application.errors
    log = EventLog.read(application.event_log_folder)
    reported = {body["job_id"]: body["updates"] for body in service.events("JOB_END")}
    assert reported == log.jobs()
    [start] = service.events("APPLICATION_START")
    [end] = service.events("APPLICATION_END")
    assert start["application_id"] == end["application_id"] == log.application_start["App ID"]
    assert end["updates"]["ended_jobs"] == 3


def test_extra_listener_says_nothing_beside_the_plugin(
    extra: dict[str, tuple[FinishedApplication, RecordingService]],
) -> None:
    application, service = extra["beside"]
    assert application.status == 0, application.errors
    assert [request.body["job_id"] for request in service.requests] == [None, 0, 1, 2, None]


def test_jobs_that_the_end_cuts_off_are_reported_and_lost_ones_counted(
    listener_jar: Path, tmp_path: Path
) -> None:
    """Else a run of which a report is missing would pass for whole, and be learned from."""
    with RecordingService() as service:
        conf = listener_conf(service.port, isAdaptive="false")
        application = submit(listener_jar, "local[1]", tmp_path / "run", "stops_amid_a_job.py", [], conf)
    assert application.status == 0, application.errors
    assert application.output == "sum 45\n"
    results = {body["job_id"]: body["updates"]["job_result"] for body in service.events("JOB_END")}
    assert results == {0: "JobSucceeded", 1: "JobFailed"}
    last = service.acknowledged[-1]
    assert last.event == "APPLICATION_END"
    # With the one whose end was dropped.
    assert last.body["updates"]["ended_jobs"] == 3
