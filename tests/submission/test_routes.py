"""Submissions over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from asgi_lifespan import LifespanManager
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from app.client.client import AsyncClient
from common.access.authenticators import OpenAccess
from common.access.control import AccessControl
from common.access.repository import AccessTokenRepository
from common.access.sessions import Sessions
from common.access.tokens import Tokens
from common.errors import ServiceError
from common.executions.candidate import Candidate
from common.executions.documents import ApplicationState, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from routers.submission import router
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from tests.support.doubles import FixedChooser, NotingRunner
from tests.support.programs import rights_in
from tests.support.samples import application_start, execution, job_end, specs


@pytest_asyncio.fixture
async def client(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    submissions: SubmissionService,
    tmp_path: Path,
) -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        tokens = AccessTokenRepository(mongo, database)
        sessions = Sessions(SecretStr("key"), 60)
        state = SimpleNamespace(
            executions=executions,
            submissions=submissions,
            access=AccessControl(OpenAccess(SecretStr("")), Tokens(tokens, executions.ended_at), sessions),
            submission_schedules=SubmissionSchedules(mongo, database, executions, submissions),
            programs=SimpleNamespace(rights=rights_in(mongo, database, tmp_path)),
        )
        yield {"service": state}

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)

    @app.exception_handler(ServiceError)
    async def problem(request: Request, error: ServiceError) -> JSONResponse:
        return JSONResponse({"detail": str(error), **error.members}, error.status)

    async with LifespanManager(app) as manager:
        transport = httpx.ASGITransport(app=manager.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
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
    assert list(body) == [
        "id",
        "state",
        "links",
        "db_entry",
        "template_code",
        "k8s_api_response",
        "prediction",
    ]
    entry = body["db_entry"]
    assert (body["id"], body["state"]) == (entry["_id"], entry["state"])
    for link in ("self", "jobs", "decisions", "picture"):
        assert (await client.get(body["links"][link])).status_code == 200
    stored = await executions.get(entry["_id"])
    assert entry == stored.model_dump(mode="json", by_alias=True)
    for name, value in specs()["global_specs"].items():
        assert entry["global_specs"][name] == value
    assert body["template_code"] == stored.manifests
    assert body["k8s_api_response"] == {"kind": "SparkApplication"}


class LosesTheFirstAnswer(httpx.AsyncBaseTransport):
    """What was asked is carried out; its first answer never arrives."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        response = await self._transport.handle_async_request(request)
        if self.sent == 1:
            raise httpx.ReadError("broken off", request=request)
        return response


async def test_a_lost_answer_makes_no_second_application(client: httpx.AsyncClient) -> None:
    transport = LosesTheFirstAnswer(client._transport)
    async with AsyncClient("http://service", transport=transport) as python:
        answer = await python.submit(specs(experiment_name="lost"))
        found = [each["_id"] async for each in python.iterate_applications(experiment_name="lost")]
    assert transport.sent == 3
    assert found == [answer["id"]]


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
    assert nothing.json()["items"] == []
    assert nothing.json()["next_cursor"] is None
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 201}, {"state": "LOST"}):
        assert (await client.get("/submission/applications", params=wrong)).status_code == 422


async def test_filters(client: httpx.AsyncClient, executions: ExecutionRepository) -> None:
    started = utc_now()
    runs = []
    for seconds, solution, state in (
        (90, "enel", ApplicationState.COMPLETED),
        (130, "enel", ApplicationState.COMPLETED),
        (90, "static", ApplicationState.COMPLETED),
        (20, "enel", ApplicationState.FAILED),
        (None, "enel", ApplicationState.RUNNING),
    ):
        run = execution(solution_name=solution, max_runtime=100.0)
        run.created_at = started + timedelta(minutes=len(runs))
        run.start_time = started
        run.schedule_name = "nightly" if len(runs) % 2 else None
        await executions.insert(run)
        ended = {} if seconds is None else {"end_time": started + timedelta(seconds=seconds)}
        await executions.record_state(run.id, state, fields=ended)
        runs.append(run.id)

    async def found(**query: Any) -> list[int]:
        response = await client.get("/submission/applications", params=query)
        assert response.status_code == 200, response.text
        return [runs.index(item["_id"]) for item in response.json()["items"]]

    assert await found(target_met=True) == [2, 0]
    assert await found(target_met=False) == [1]
    assert await found(target_met=True, state="FAILED") == []
    assert await found(state=["FAILED", "RUNNING"]) == [4, 3]
    assert await found(solution_name="static") == [2]
    assert await found(schedule_name="nightly") == [3, 1]
    middle = started + timedelta(minutes=2)
    assert await found(created_from=middle.isoformat()) == [4, 3, 2]
    assert await found(created_to=int(middle.timestamp() * 1000)) == [1, 0]
    assert await found(created_from=middle.isoformat(), target_met=True, limit=1) == [2]
    for wrong in ({"created_from": "yesterday"}, {"target_met": "maybe"}):
        assert (await client.get("/submission/applications", params=wrong)).status_code == 422


async def test_a_dry_run_has_the_shape_of_a_submission(
    client: httpx.AsyncClient, executions: ExecutionRepository, chooser: FixedChooser
) -> None:
    chooser.expect({1: 100.0, 4: 60.0}, target_seconds=80.0)
    planned = await client.post("/submission/submit?dry_run=true", json=specs(max_runtime=80.0))
    assert planned.status_code == 200
    body = planned.json()
    assert {"db_entry", "template_code", "k8s_api_response", "prediction"} <= set(body)
    assert body["links"] == {}  # there is nothing to follow
    assert body["k8s_api_response"]["accepted"] is True
    assert await executions.newest() == []
    real = await submitted(client, max_runtime=80.0)
    assert real["prediction"] == body["prediction"]
    assert body["prediction"]["candidates"][1] == {
        "scale_out": 4,
        "remaining_seconds": 60.0,
        "log_std": 0.1,
        "early_log_std": 0.1,
        "avoidable_log_std": 0.1,
        "runtime_seconds": 60.0,
        "lower_seconds": pytest.approx(60 / 1.179, abs=0.1),
        "upper_seconds": pytest.approx(60 * 1.179, abs=0.1),
        "probability": pytest.approx(0.998, abs=0.001),
        "executor_seconds": 240.0,
    }
    prediction = body["prediction"]
    assert (prediction["scale_out"], prediction["predicted_runtime_seconds"]) == (4, 60.0)
    assert (prediction["feasible"], prediction["fastest_runtime_seconds"]) == (True, 60.0)
    real_id, planned_id = real["db_entry"]["_id"], body["db_entry"]["_id"]
    planned_code = json.dumps(body["template_code"]).replace(planned_id, real_id)
    assert json.loads(planned_code) == real["template_code"], "the very manifest, but for the id"


async def test_an_infeasible_target_is_a_problem_with_its_figures(
    client: httpx.AsyncClient, executions: ExecutionRepository, chooser: FixedChooser
) -> None:
    chooser.expect({1: 300.0, 4: 200.0}, target_seconds=120.0)
    refused = await client.post("/submission/submit?require_feasible=true", json=specs())
    assert refused.status_code == 409
    assert refused.json()["fastest_runtime_seconds"] == 200.0
    assert refused.json()["nearest_feasible_target_seconds"] > 200.0
    assert await executions.newest() == []
    assert (await submitted(client))["prediction"]["feasible"] is False


async def test_the_same_key_again(client: httpx.AsyncClient, runner: NotingRunner) -> None:
    key = {"Idempotency-Key": "4f6c-1"}
    first = await client.post("/submission/submit", json=specs(), headers=key)
    again = await client.post("/submission/submit", json={**specs(), "surprise": 1}, headers=key)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert len(runner.started) == 1
    other = await client.post("/submission/submit", json=specs(max_runtime=7), headers=key)
    assert other.status_code == 422
    for wrong in ("", "x" * 300, "a b"):
        response = await client.post("/submission/submit", json=specs(), headers={"Idempotency-Key": wrong})
        assert response.status_code == 422


async def test_the_same_name_again(client: httpx.AsyncClient, runner: NotingRunner) -> None:
    body = {**specs(), "name": "nightly report"}
    first = await client.post("/submission/submit", json=body)
    again = await client.post("/submission/submit", json=body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert len(runner.started) == 1
    assert (await client.post("/submission/submit", json={**body, **specs(max_runtime=7)})).status_code == 409
    listed = await client.get("/submission/applications", params={"name": "nightly report"})
    assert len(listed.json()["items"]) == 1


async def test_why_it_scaled(client: httpx.AsyncClient, executions: ExecutionRepository) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    path = f"/submission/applications/{execution_id}"
    for event in (
        application_start(execution_id),
        job_end(execution_id, 0),
        job_end(execution_id, 1, scale_out=4),
    ):
        await executions.apply_event(execution_id, UpdateInformation.model_validate(event).event())
    for job_id, current, chosen in ((0, 2, 4), (1, 4, 4)):
        await executions.insert_decision(
            ScalingDecision(
                id=f"{execution_id}-{job_id}",
                application_execution_id=execution_id,
                job_id=job_id,
                elapsed_seconds=5.0 + 3.2 * job_id,
                current_scale_out=current,
                target_seconds=120.0,
                model_key="spark.KMeans.onlinepredictor/3",
                candidates=[Candidate(scale_out=4, remaining_seconds=50.0, log_std=0.2)],
                chosen_scale_out=chosen,
                reason="smallest",
            )
        )
    first = (await client.get(f"{path}/decisions", params={"limit": 2})).json()
    assert [decision["job_id"] for decision in first["items"]] == [-1, 0]
    rescaling = first["items"][1]
    assert rescaling["outcome"]["status"] == "carried_out"
    started = (await executions.finished_jobs(execution_id))[1].start_time
    assert datetime.fromisoformat(rescaling["outcome"]["carried_out_at"]) == started
    assert rescaling["outcome"]["predicted_remaining_seconds"] == 50.0
    assert rescaling["outcome"]["real_remaining_seconds"] is None, "it is not over"
    assert rescaling["budget_seconds"] == 115.0
    assert rescaling["candidates"][0]["probability"] > 0.99
    assert rescaling["model_key"] == "spark.KMeans.onlinepredictor/3"
    rest = (await client.get(f"{path}/decisions", params={"cursor": first["next_cursor"]})).json()
    assert [decision["outcome"]["status"] for decision in rest["items"]] == ["unchanged"]
    assert rest["next_cursor"] is None

    begun = (await executions.get(execution_id)).start_time
    assert begun is not None
    ended = {"end_time": begun + timedelta(seconds=60)}
    await executions.record_state(execution_id, ApplicationState.COMPLETED, fields=ended)
    details = (await client.get(path)).json()
    assert [each["outcome"]["real_remaining_seconds"] for each in details["decisions"]] == [60.0, 55.0, 51.8]
    picture = await client.get(f"{path}/picture.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")
    assert (await client.get("/submission/applications/none/decisions")).status_code == 404


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
    followed = await client.get(path, params={"follow": True, "tail_lines": 1})
    assert followed.headers["content-type"].startswith("text/event-stream")
    assert followed.text == "event: log\ndata: two\n\nevent: end\ndata: The application has ended.\n\n"
    assert (await client.get("/submission/applications/none/logs?follow=true")).status_code == 404


async def test_kill_twice(client: httpx.AsyncClient) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    for _ in range(2):
        response = await client.delete(f"/submission/applications/{execution_id}")
        assert (response.status_code, response.json()["state"]) == (200, "KILLED")
    assert (await client.delete("/submission/applications/none")).status_code == 404


@pytest.mark.parametrize(
    ("query", "headers", "who"),
    [
        ({"requested_by": "alice"}, {"X-Requested-By": "bob"}, "alice"),
        ({}, {"X-Requested-By": "bob\t"}, "bob"),
        ({}, {}, "127.0.0.1"),
    ],
)
async def test_who_asked_for_the_end(
    client: httpx.AsyncClient, query: dict[str, str], headers: dict[str, str], who: str
) -> None:
    execution_id = (await submitted(client))["db_entry"]["_id"]
    path = f"/submission/applications/{execution_id}"
    killed = (await client.delete(path, params=query, headers=headers)).json()
    assert killed["kill_requested_by"] == who
    assert killed["state_changes"][-1]["reason"] == f"Killed on request of {who}."


async def test_schedules(client: httpx.AsyncClient) -> None:
    body = {"name": "nightly", "cron": "0 3 * * 1-5", "time_zone": "Europe/Berlin", "submission": specs()}
    created = await client.post("/submission/schedules", json=body, headers={"X-Requested-By": "ada"})
    assert (created.status_code, created.json()["name"]) == (201, "nightly")
    assert created.json()["created_by"] == "ada"
    path = created.headers["Location"]
    assert (await client.post("/submission/schedules", json=body)).status_code == 200
    assert (await client.post("/submission/schedules", json={**body, "cron": "1 3 * * *"})).status_code == 409
    changed = await client.put(path, json={**body, "cron": "1 3 * * *", "concurrency_policy": "forbid"})
    assert (changed.status_code, changed.json()["cron"]) == (200, "1 3 * * *")
    assert changed.json()["created_by"] == "ada", "whoever changes it"
    assert (await client.post(f"{path}/pause")).json()["paused"] is True
    ran = (await client.post(f"{path}/run", headers={"Idempotency-Key": "1"})).json()
    assert ran["db_entry"]["schedule_name"] == "nightly"
    again = await client.post(f"{path}/run", headers={"Idempotency-Key": "1"})
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", ran)
    assert (await client.post(f"{path}/run")).status_code == 409
    assert (await client.get(path)).json()["active"] == [ran["db_entry"]["_id"]]
    assert (await client.post(f"{path}/resume")).json()["paused"] is False
    [listed] = (await client.get("/submission/schedules")).json()["items"]
    assert listed["submission"]["global_specs"]["max_runtime"] == 120.0
    runs = await client.get("/submission/applications", params={"schedule_name": "nightly"})
    assert len(runs.json()["items"]) == 1
    assert (await client.delete(path)).status_code == 200
    for method, wanted in (("GET", path), ("DELETE", path), ("POST", f"{path}/run")):
        assert (await client.request(method, wanted)).status_code == 404
    for wrong in ({"cron": "soon"}, {"concurrency_policy": "maybe"}, {"submission": {}}, {"name": "../x"}):
        assert (await client.post("/submission/schedules", json={**body, **wrong})).status_code == 422


async def test_openapi_describes_the_answers(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert {"SubmitResponse", "ApplicationDetails", "ApplicationPage", "JobView"} <= set(schemas)
    assert "target_met" in schemas["ApplicationDetails"]["properties"]
