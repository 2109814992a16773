"""An application that the service submits, with the real plugin in a real Spark, from start to end."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.client.client import AsyncClient
from common.settings.group import PROJECT_ROOT
from tests.support.left_processes import all_gone
from tests.support.samples import specs
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.spark]

JAR = PROJECT_ROOT / "listener" / "build" / "enel-listener.jar"


def kmeans(event_log: Path, iterations: int, read_seconds: float, **global_specs: Any) -> dict[str, Any]:
    body = specs(
        algorithm_args=[
            *("--iterations", iterations),
            *("--partitions", 4),
            *("--read-seconds-per-partition", read_seconds),
        ],
        max_scale_out=3,
        **global_specs,
    )
    body["spark_template_values"] = {
        "log_dir": event_log.as_uri(),
        "spark_conf": {"spark.eventLog.compress": False, "spark.eventLog.rolling.enabled": False},
    }
    return body


def spark_events(folder: Path) -> list[dict[str, Any]]:
    [log] = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_what_is_stored_is_what_spark_did(tmp_path: Path) -> None:
    assert JAR.is_file(), "`make listener` builds the plugin"
    event_log = tmp_path / "events"
    event_log.mkdir()
    async with (
        started_service(tmp_path / "service") as service,
        AsyncClient(service.url) as client,
    ):
        answer = await client.submit(kmeans(event_log, 2, 0.2))
        execution_id = answer["db_entry"]["_id"]
        [manifest] = answer["template_code"]
        assert manifest["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
        assert (
            manifest["spec"]["sparkConf"]["spark.customExtraListener.applicationExecutionId"] == execution_id
        )

        application = await client.ended_application(execution_id)
        log = await client.log(execution_id)
        assert application["state"] == "COMPLETED", log
        assert "final cost" in log
        assert [change["state"] for change in application["state_changes"]] == [
            "PENDING",
            "SUBMITTED",
            "RUNNING",
            "COMPLETED",
        ]
        assert application["target_met"] is True

        events = spark_events(event_log)
        started = [event for event in events if event["Event"] == "SparkListenerJobStart"]
        [start] = [event for event in events if event["Event"] == "SparkListenerApplicationStart"]
        completed = {
            event["Stage Info"]["Stage ID"]: event["Stage Info"]
            for event in events
            if event["Event"] == "SparkListenerStageCompleted"
        }
        assert application["application_id"] == start["App ID"]
        jobs = (await client.jobs(execution_id))["items"]
        assert [job["job_id"] for job in jobs] == [event["Job ID"] for event in started] == [0, 1, 2, 3]
        for job, event in zip(jobs, started, strict=True):
            assert set(job["stages"]) == {str(stage_id) for stage_id in event["Stage IDs"]}
            for stage_id, stage in job["stages"].items():
                assert stage is not None
                assert stage["num_tasks"] == completed[int(stage_id)]["Number of Tasks"]
                assert stage["stage_name"] == completed[int(stage_id)]["Stage Name"]
        # Without history it starts with what was requested, and really so.
        assert (jobs[0]["start_scale_out"], application["initial_scale_out"]) == (2, 2)

        page = await client.jobs(execution_id, limit=3)
        assert (len(page["items"]), page["next_after_job_id"]) == (3, 2)

        # With one run to learn from, the next first scale-out is a forecast's.
        roomy = await client.submit(kmeans(event_log, 500, 1.0, max_runtime=86_400))
        second = roomy["db_entry"]
        assert "from 1 run" in second["initial_scale_out_reason"], second
        async for application in client.follow_application(second["_id"]):
            if application["state"] == "RUNNING":
                break
        await client.kill(second["_id"])
        assert (await client.ended_application(second["_id"]))["state"] == "KILLED"
        assert (await client.kill(second["_id"]))["state"] == "KILLED"
    assert await all_gone(tmp_path)
    await asyncio.to_thread(shutil.rmtree, tmp_path / "service")
