"""Submissions over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from asgi_lifespan import LifespanManager
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from common.documents import ApplicationState, utc_now
from common.errors import ServiceError
from common.events import UpdateInformation
from common.executions import ExecutionRepository
from routers.submission import router
from submission.manifest import ManifestOptions
from submission.service import SubmissionService
from tests.samples import application_start, job_end, specs
from tests.submission.test_service import Chooser, NotingRunner


@pytest.fixture
def runner(executions: ExecutionRepository) -> NotingRunner:
    return NotingRunner(executions.record_state)


@pytest_asyncio.fixture
async def client(
    executions: ExecutionRepository, runner: NotingRunner, options: ManifestOptions
) -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {
            "executions": executions,
            "submissions": SubmissionService(executions, runner, Chooser(), options),
        }

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)

    @app.exception_handler(ServiceError)
    async def problem(request: Request, error: ServiceError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    async with LifespanManager(app) as manager:
        transport = httpx.ASGITransport(app=manager.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


async def submitted(client: httpx.AsyncClient, **global_specs: Any) -> dict[str, Any]:
    response = await client.post("/submission/submit", json=specs(**global_specs))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_submit_answers_as_the_contract_says(
    client: httpx.AsyncClient, executions: ExecutionRepository
) -> None:
    body = await submitted(client)
    assert set(body) == {"db_entry", "template_code", "k8s_api_response"}
    entry = body["db_entry"]
    stored = await executions.get(entry["_id"])
    assert entry == stored.model_dump(mode="json", by_alias=True)
    for name, value in specs()["global_specs"].items():
        assert entry["global_specs"][name] == value
    assert body["template_code"] == stored.manifests
    assert body["k8s_api_response"] == {"kind": "SparkApplication"}


async def test_policy_and_unknown_fields(client: httpx.AsyncClient) -> None:
    body = {**specs(), "initial_scale_out_policy": "requested", "surprise": 1}
    entry = (await client.post("/submission/submit", json=body)).json()["db_entry"]
    assert entry["initial_scale_out"] == 2
    assert "initial_scale_out_policy" not in entry
    body["initial_scale_out_policy"] = "best"
    assert (await client.post("/submission/submit", json=body)).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        specs(min_scale_out=9),
        specs(max_runtime=0),
        specs(algorithm_name="../x"),
        specs(algorithm_name="MPC"),
        {**specs(), "worker_specs": {"scale_out": 9}},
        {**specs(), "worker_specs": {"scale_out": 2, "memory": "much"}},
        {**specs(), "spark_template_values": {"spark_conf": {"spark.master": "local"}}},
    ],
)
async def test_impossible_requests(
    client: httpx.AsyncClient, executions: ExecutionRepository, body: dict[str, Any]
) -> None:
    response = await client.post("/submission/submit", json=body)
    assert response.status_code == 422
    assert response.json()["detail"]
    assert await executions.newest() == []


async def test_pages(client: httpx.AsyncClient) -> None:
    ids = [
        (await submitted(client, experiment_name=f"e{number % 2}"))["db_entry"]["_id"] for number in range(5)
    ]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in range(3):
        page = (await client.get("/submission/applications", params=query)).json()
        seen += [item["_id"] for item in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert seen == ids[::-1]
    assert query["cursor"] is None
    found = await client.get("/submission/applications", params={"experiment_name": "e1", "state": "PENDING"})
    assert [item["_id"] for item in found.json()["items"]] == [ids[3], ids[1]]
    assert found.json()["items"][0]["target_met"] is None
    nothing = await client.get("/submission/applications", params={"algorithm_name": "MPC"})
    assert nothing.json() == {"items": [], "next_cursor": None}
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 201}, {"state": "LOST"}):
        assert (await client.get("/submission/applications", params=wrong)).status_code == 422


async def test_details(client: httpx.AsyncClient, executions: ExecutionRepository) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    path = f"/submission/applications/{execution_id}"
    details = (await client.get(path)).json()
    assert (details["runtime_seconds"], details["target_met"], details["jobs"]) == (None, None, [])
    assert details["decisions"][0]["reason"] == "Four are enough."

    for event in (application_start(execution_id), job_end(execution_id, 0), job_end(execution_id, 2)):
        await executions.apply_event(execution_id, UpdateInformation.model_validate(event).event())
    started = (await executions.get(execution_id)).start_time
    assert started is not None
    await executions.record_state(
        execution_id, ApplicationState.COMPLETED, fields={"end_time": started + timedelta(seconds=90)}
    )
    details = (await client.get(path)).json()
    assert (details["runtime_seconds"], details["target_met"]) == (90.0, True)
    assert [job["job_id"] for job in details["jobs"]] == [0, 2]
    job = details["jobs"][0]
    assert (job["runtime_seconds"], job["start_scale_out"], job["stages"]) == (3.0, 2, 3)
    assert (await client.get("/submission/applications/none")).status_code == 404


async def test_a_failed_application_has_no_verdict(
    client: httpx.AsyncClient, executions: ExecutionRepository
) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    await executions.record_state(
        execution_id, ApplicationState.FAILED, "exit code 1", fields={"end_time": utc_now()}
    )
    details = (await client.get(f"/submission/applications/{execution_id}")).json()
    assert (details["state"], details["target_met"]) == ("FAILED", None)


async def test_logs(client: httpx.AsyncClient, runner: NotingRunner) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    path = f"/submission/applications/{execution_id}/logs"
    assert (await client.get(path)).status_code == 404
    runner.log = "one\ntwo\n"
    response = await client.get(path, params={"tail_lines": 5})
    assert (response.status_code, response.text) == (200, "one\ntwo\n")
    assert response.headers["content-type"].startswith("text/plain")
    assert (await client.get(path, params={"tail_lines": 0})).status_code == 422
    assert (await client.get("/submission/applications/none/logs")).status_code == 404


async def test_kill_twice(client: httpx.AsyncClient) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    for _ in range(2):
        response = await client.delete(f"/submission/applications/{execution_id}")
        assert (response.status_code, response.json()["state"]) == (200, "KILLED")
    assert (await client.delete("/submission/applications/none")).status_code == 404


async def test_openapi_describes_the_answers(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert {"SubmitResponse", "ApplicationDetails", "ApplicationPage", "JobView"} <= set(schemas)
    assert "target_met" in schemas["ApplicationDetails"]["properties"]
