"""A fixed number of executors, no dynamic allocation: the plugin alone takes away and brings back."""

from pathlib import Path

import pytest

from tests.support.spark.event_log import EventLog
from tests.support.spark.recording_service import RecordingService, Request, Response
from tests.support.spark.spark_cluster import listener_conf, listener_lines, submit

pytestmark = pytest.mark.spark

INITIAL, LOWEST = 3, 1


def test_rescaling_in_and_out_without_dynamic_allocation(
    listener_jar: Path, spark_master: str, tmp_path: Path
) -> None:
    marker = tmp_path / "in-and-out-again"
    counts: list[int] = []

    def respond(request: Request) -> Response:
        if request.event != "JOB_END":
            return Response()
        counts.append(request.body["updates"]["end_scale_out"])
        been_in = LOWEST in counts
        if been_in and counts[-1] == INITIAL:
            marker.touch()
        scale_out = INITIAL if been_in else LOWEST
        pairs = [[request.body["job_id"] + 1, scale_out]]
        return Response(
            body={"best_predicted_scale_out_per_job": pairs, "best_predicted_runtime_per_job": []}
        )

    with RecordingService(respond) as service:
        conf = listener_conf(
            service.port,
            initialExecutors=str(INITIAL),
            minExecutors=str(LOWEST),
            maxExecutors=str(INITIAL),
            busyExecutorGrace="1s",
        )
        # A standalone cluster starts as many executors as fit: that is how this one gets its fixed number.
        conf |= {"spark.cores.max": str(INITIAL), "spark.dynamicAllocation.enabled": "false"}
        application = submit(
            listener_jar, spark_master, tmp_path / "run", "jobs_until_told.py", [str(marker)], conf
        )
    assert application.status == 0, application.errors
    assert application.output.splitlines() == ["total 15 True"]
    assert not [line for line in listener_lines(application) if " WARN " in line]
    seen = EventLog.read(application.event_log_folder).executor_counts()
    assert max(seen) == INITIAL
    lowest = seen.index(LOWEST, seen.index(INITIAL))
    assert INITIAL in seen[lowest:]
