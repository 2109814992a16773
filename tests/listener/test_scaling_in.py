"""Executors that are no longer needed hand over their shuffle files, as submissions have them do."""

from pathlib import Path

import pytest

from submission.manifest.spark_conf import default_conf
from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response
from tests.support.spark.spark_cluster import listener_conf, listener_lines, submit

pytestmark = pytest.mark.spark

EXECUTORS = 4


def recommend_one(request: Request) -> Response:
    if request.event != "JOB_END":
        return Response()
    pairs = [[request.body["job_id"] + 1, 1]]
    return Response(body={"best_predicted_scale_out_per_job": pairs, "best_predicted_runtime_per_job": []})


def test_what_executors_have_written_is_there_when_they_are_gone(
    listener_jar: Path, spark_master: str, tmp_path: Path
) -> None:
    with RecordingService(recommend_one) as service:
        conf = listener_conf(service.port, initialExecutors=str(EXECUTORS), maxExecutors=str(EXECUTORS))
        conf |= {"spark.cores.max": str(EXECUTORS), "spark.dynamicAllocation.enabled": "false"}
        conf |= default_conf(EXECUTORS, rescales=True)
        application = submit(
            listener_jar, spark_master, tmp_path / "run", "shuffle_read_again.py", [str(EXECUTORS)], conf
        )
    assert application.status == 0, application.errors
    assert application.output.splitlines() == ["total 79800", "again 79800"]
    assert not [line for line in listener_lines(application) if " WARN " in line]
    assert "decommissioning executors" in application.errors
    again = next(body for body in service.events("JOB_END") if body["job_id"] == 1)
    written, read = again["updates"]["stages"].values()
    assert written is None, "the files were still there: nothing was computed again"
    assert read["num_attempts"] == 1
    log = EventLog.read(application.event_log_folder)
    reasons = [event["Removed Reason"] for event in log.of_kind("ExecutorRemoved")]
    assert len([reason for reason in reasons if "decommission" in reason.lower()]) == EXECUTORS - 1
