"""Executors that are no longer needed hand over their shuffle files, as submissions have them do."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from submission.manifest.spark_conf import default_conf
from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response
from tests.support.spark.spark_cluster import FinishedApplication, listener_conf, listener_lines, submit

pytestmark = pytest.mark.spark

EXECUTORS = 4


class Run(NamedTuple):
    application: FinishedApplication
    job_ends: list[dict[str, Any]]
    """Bodies of reports."""
    log: EventLog


def recommend_one(request: Request) -> Response:
    if request.event != "JOB_END":
        return Response()
    pairs = [[request.body["job_id"] + 1, 1]]
    return Response(body={"best_predicted_scale_out_per_job": pairs, "best_predicted_runtime_per_job": []})


def scaled_in(listener_jar: Path, spark_master: str, folder: Path, kind: str, **conf: str) -> Run:
    """A run that is to go on with one executor after its first job."""
    with RecordingService(recommend_one) as service:
        fixed = listener_conf(service.port, initialExecutors=str(EXECUTORS), maxExecutors=str(EXECUTORS))
        fixed |= {"spark.cores.max": str(EXECUTORS), "spark.dynamicAllocation.enabled": "false"}
        fixed |= default_conf(EXECUTORS, rescales=True) | conf
        arguments = [str(EXECUTORS), kind]
        application = submit(listener_jar, spark_master, folder, "scaling_in.py", arguments, fixed)
    assert application.status == 0, application.errors
    return Run(application, service.events("JOB_END"), EventLog.read(application.event_log_folder))


def test_what_executors_have_written_is_there_when_they_are_gone(
    listener_jar: Path, spark_master: str, tmp_path: Path
) -> None:
    run = scaled_in(listener_jar, spark_master, tmp_path / "run", "shuffle")
    application = run.application
    assert application.output.splitlines() == ["total 79800", "again 79800"]
    assert not [line for line in listener_lines(application) if " WARN " in line]
    assert "decommissioning executors" in application.errors
    again = next(body for body in run.job_ends if body["job_id"] == 1)
    written, read = again["updates"]["stages"].values()
    assert written is None, "the files were still there: nothing was computed again"
    assert read["num_attempts"] == 1
    reasons = [event["Removed Reason"] for event in run.log.of_kind("ExecutorRemoved")]
    assert len([reason for reason in reasons if "decommission" in reason.lower()]) == EXECUTORS - 1


def test_tasks_with_large_results_end_on_executors_that_go(
    listener_jar: Path, spark_master: str, tmp_path: Path
) -> None:
    """An executor that goes stores nothing more, and Spark's default has it store results over 1 MiB."""
    conf = {"spark.task.maxFailures": "1"}
    run = scaled_in(listener_jar, spark_master, tmp_path / "run", "results", **conf)
    assert run.application.output.splitlines()[-1] == f"bytes {EXECUTORS * (2 << 20)}"
    assert "decommissioning executors" in run.application.errors
    assert {event["Task End Reason"]["Reason"] for event in run.log.of_kind("TaskEnd")} == {"Success"}
