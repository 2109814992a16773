"""An application of a submitter, whose driver reports with a token of its own: real plugin, real Spark."""

import asyncio
from pathlib import Path

import httpx
import psutil
import pytest

from app.client.client import AsyncClient
from common.settings.group import PROJECT_ROOT
from tests.support.left_processes import all_gone
from tests.support.samples import application_start, specs
from tests.support.services import started_service
from tests.support.tokens import ADMIN_TOKEN, bearer

pytestmark = [pytest.mark.service, pytest.mark.spark]

JAR = PROJECT_ROOT / "listener" / "build" / "enel-listener.jar"
VARIABLE = "ENEL_CALLBACK_TOKEN"


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


async def test_a_driver_reports_with_a_token_of_its_own(tmp_path: Path) -> None:
    assert JAR.is_file(), "`make listener` builds the plugin"
    body = specs(
        algorithm_args=["--iterations", 2, "--partitions", 4, "--read-seconds-per-partition", 0.2],
        max_scale_out=3,
    )
    async with (
        started_service(tmp_path / "service", ADMIN_TOKEN=ADMIN_TOKEN) as service,
        httpx.AsyncClient(base_url=service.url, timeout=60) as http,
    ):
        made = await http.post(
            "/access/tokens", json={"name": "ada", "role": "submitter"}, headers=bearer(ADMIN_TOKEN)
        )
        async with AsyncClient(service.url, token=made.json()["token"]) as ada:
            program = {"main_application_file": str(PROJECT_ROOT / "main.py")}
            refused = await http.post(
                "/submission/submit",
                json={**body, "spark_template_values": program},
                headers=bearer(made.json()["token"]),
            )
            assert (refused.status_code, "SUBMISSION_ALLOWED_MAIN_FILES" in refused.text) == (422, True)

            submitted = (await ada.submit(body))["db_entry"]
            assert submitted["submitted_by"] == "ada"
            async with asyncio.timeout(120):
                own = await token_of_driver(service.process.pid)
            assert own not in (made.json()["token"], ADMIN_TOKEN)
            foreign = await http.post(
                "/training/update_information", json=application_start("another"), headers=bearer(own)
            )
            assert foreign.status_code == 403
            assert (await http.get("/models", headers=bearer(own))).status_code == 403
            application = await ada.ended_application(submitted["_id"])
            assert application["state"] == "COMPLETED", await ada.log(submitted["_id"])
            assert [job["job_id"] for job in (await ada.jobs(submitted["_id"]))["items"]] == [0, 1, 2, 3]
    assert own not in service.log.read_text()
    assert await all_gone(tmp_path)
