"""An application of a submitter, with the real plugin in a real Spark, from start to end.

Its driver reports with a token of its own: the service wants tokens. Where none are wanted, others submit.
"""

import asyncio
import json
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from common.settings.group import PROJECT_ROOT
from tests.support.left_processes import all_gone
from tests.support.samples import application_start, specs
from tests.support.services import started_service
from tests.support.tokens import ADMIN_TOKEN, bearer

pytestmark = [pytest.mark.service, pytest.mark.spark]

JAR = PROJECT_ROOT / "listener" / "build" / "enel-listener.jar"
VARIABLE = "ENEL_CALLBACK_TOKEN"


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


async def token_of_driver(service_pid: int) -> str:
    """As programs of the same user can read it, once the driver is there."""
    while True:
        for process in psutil.Process(service_pid).children(recursive=True):
            try:
                environment = process.environ()
            except psutil.Error:
                continue
            if VARIABLE in environment:
                return environment[VARIABLE]
        await asyncio.sleep(0.1)


async def check_token_of_driver(service_pid: int, url: str, submitters: str) -> str:
    """It is nobody else's, and for reports of its own run alone; returns it."""
    async with asyncio.timeout(120):
        own = await token_of_driver(service_pid)
    assert own not in (submitters, ADMIN_TOKEN)
    async with httpx.AsyncClient(base_url=url, headers=bearer(own), timeout=60) as driver:
        foreign = await driver.post("/training/update_information", json=application_start("another"))
        assert foreign.status_code == 403
        assert (await driver.get("/models")).status_code == 403
    return own


async def test_what_is_stored_is_what_spark_did(tmp_path: Path) -> None:
    assert JAR.is_file(), "`make listener` builds the plugin"
    event_log = tmp_path / "events"
    event_log.mkdir()
    async with AsyncExitStack() as stack:
        # Where a log is to be written is not for everybody to say.
        settings = {"ADMIN_TOKEN": ADMIN_TOKEN, "SUBMISSION_ALLOWED_SPARK_CONF": "spark.eventLog.*"}
        service = await stack.enter_async_context(started_service(tmp_path / "service", **settings))
        admin = await stack.enter_async_context(AsyncClient(service.url, token=ADMIN_TOKEN))
        ada = (await admin.create_token("ada", "submitter"))["token"]
        client = await stack.enter_async_context(AsyncClient(service.url, token=ada))
        program = {"main_application_file": str(PROJECT_ROOT / "main.py")}
        with pytest.raises(ProblemError, match="SUBMISSION_ALLOWED_MAIN_FILES") as refused:
            await client.submit({**kmeans(event_log, 2, 0.2), "spark_template_values": program})
        assert refused.value.status == 422

        answer = await client.submit(kmeans(event_log, 2, 0.2))
        execution_id = answer["db_entry"]["_id"]
        assert answer["db_entry"]["submitted_by"] == "ada"
        [manifest] = answer["template_code"]
        assert manifest["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
        assert (
            manifest["spec"]["sparkConf"]["spark.customExtraListener.applicationExecutionId"] == execution_id
        )

        own = await check_token_of_driver(service.process.pid, service.url, ada)
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
    assert own not in service.log.read_text()
    assert await all_gone(tmp_path)
    await asyncio.to_thread(shutil.rmtree, tmp_path / "service")
