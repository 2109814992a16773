"""Events over HTTP, as listeners in the field send them, and what must not get in."""

import base64
import json
import re
from typing import Any

import httpx
import pytest

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.answers import PREDICT, UPDATE, is_problem
from tests.support.impossible_events import IMPOSSIBLE
from tests.support.samples import application_start, execution, job_end


@pytest.fixture
def stored(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
async def run(stored: ExecutionRepository) -> str:
    created = execution(algorithm_name="NeverTrained")
    await stored.insert(created)
    return created.id


@pytest.mark.parametrize(
    ("path", "event"),
    [
        (UPDATE, "start"),
        ("/training%2Fupdate_information", "start"),
        (UPDATE, "job"),
        (PREDICT, "job"),
        ("/prediction%2Fonline_scale_out_prediction", "job"),
        ("//prediction//online_scale_out_prediction", "job"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
async def test_events_are_stored_under_every_path(
    service: httpx.AsyncClient, stored: ExecutionRepository, run: str, path: str, event: str, as_text: bool
) -> None:
    body = application_start(run) if event == "start" else job_end(run, 4)
    if as_text:
        body["updates"] = json.dumps(body["updates"])
    # Whole addresses: httpx would take what follows two slashes for a host.
    response = await service.post(f"{service.base_url}{path}", json=body)
    assert response.status_code == 200, response.text
    application = await stored.get(run)
    assert application.application_id == "spark-1"
    assert len(await stored.finished_jobs(run)) == (event == "job")


async def test_without_a_model_nothing_is_recommended_and_the_reason_is_told(
    service: httpx.AsyncClient, run: str
) -> None:
    answer = (await service.post(PREDICT, json=job_end(run, 0))).json()
    assert answer["best_predicted_scale_out_per_job"] == []
    assert answer["best_predicted_runtime_per_job"] == []
    assert "no model is trained" in answer["reason"]


async def test_without_predict_nothing_is_recommended(service: httpx.AsyncClient, run: str) -> None:
    answer = (await service.post(PREDICT, json={**job_end(run, 0), "predict": False})).json()
    assert answer["best_predicted_scale_out_per_job"] == []
    assert "asked" in answer["reason"]


@pytest.mark.parametrize("path", [UPDATE, PREDICT])
async def test_an_unknown_execution_is_404(service: httpx.AsyncClient, path: str) -> None:
    assert "nobody" in is_problem(await service.post(path, json=job_end("nobody", 0)), 404)["detail"]


@pytest.mark.parametrize("path", [UPDATE, PREDICT])
@pytest.mark.parametrize("body", [body for _, body in IMPOSSIBLE], ids=[name for name, _ in IMPOSSIBLE])
async def test_what_cannot_be_is_422_and_stores_nothing(
    service: httpx.AsyncClient, stored: ExecutionRepository, run: str, path: str, body: dict[str, Any]
) -> None:
    before = await stored.get(run)
    content = json.dumps({**body, "application_execution_id": run})  # NaN and half characters included
    problem = is_problem(
        await service.post(path, content=content, headers={"content-type": "application/json"}), 422
    )
    assert problem["errors"][0]["message"]
    after = await stored.get(run)
    assert after.model_copy(update={"refusals": []}) == before  # which is told with the run
    assert not await stored.finished_jobs(run)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"[" * 50_000, 400),
        (b"\xff\xfe\x00", 422),
        (b"x" * 50_000_000, 413),
    ],
    ids=["empty", "half", "null", "deep", "no text", "50 MB"],
)
async def test_bodies_that_are_no_requests(service: httpx.AsyncClient, content: bytes, status: int) -> None:
    response = await service.post(UPDATE, content=content, headers={"content-type": "application/json"})
    assert response.status_code in (status, 400, 422), response.text
    assert (response.status_code == 413) == (status == 413)
    is_problem(response, response.status_code)


async def test_a_large_body_of_unknown_length_is_refused(service: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for _ in range(50):
            yield b" " * 1_000_000

    is_problem(await service.post(UPDATE, content=pieces()), 413)


async def test_a_document_that_grows_too_large_is_413(
    service: httpx.AsyncClient, stored: ExecutionRepository, run: str
) -> None:
    """Each event is acceptable; together they exceed what one stored job may hold."""
    for part in range(5):
        stages = {str(2000 * part + n): {"stage_name": "x" * 4000} for n in range(1500)}
        response = await service.post(UPDATE, json=job_end(run, 0, stages=stages))
        if response.status_code != 200:
            break
    assert part > 0
    is_problem(response, 413)
    [job] = await stored.finished_jobs(run)
    assert len(job.stages) == 1500 * part


async def test_unknown_paths_and_methods_are_problems(service: httpx.AsyncClient) -> None:
    is_problem(await service.get("/nowhere"), 404)
    is_problem(await service.get(UPDATE), 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (UPDATE, {"POST"}),
        ("/submission/applications/x", {"GET", "DELETE"}),
        ("/submission/schedules", {"GET", "POST"}),
        ("/workspaces/known/files/a/b", {"GET", "PUT", "DELETE"}),
    ],
)
async def test_a_wrong_method_is_told_all_that_the_path_has(
    service: httpx.AsyncClient, path: str, allowed: set[str]
) -> None:
    answer = await service.patch(path, json={})
    is_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path", ["/prediction/preload/KMeans", "/preload/kmeans", "//preload/gbt", "/prediction//preload/mpc"]
)
async def test_preloading_what_is_not_trained_is_404(service: httpx.AsyncClient, path: str) -> None:
    address = f"{service.base_url}{path}"
    assert "No model" in is_problem(await service.get(address), 404)["detail"]


@pytest.mark.parametrize("base_name", ["..%2F..%2Fetc%2Fpasswd", "a%2Fb", ".hidden", "x" * 300, "%00"])
async def test_base_names_that_are_paths_are_refused(service: httpx.AsyncClient, base_name: str) -> None:
    is_problem(await service.get(f"/prediction/preload/{base_name}"), 422)


async def test_training_without_history_is_412(service: httpx.AsyncClient) -> None:
    request = {"system_name": "spark", "algorithm_name": "Unheard", "model_name": "onlinepredictor"}
    is_problem(await service.post("/training/trigger_model_training", json=request), 412)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model_name": "oracle"}, 400),
        ({"algorithm_name": "../x"}, 422),
        ({"trials": 0}, 422),
        ({"algorithm_name": None}, 422),
    ],
)
async def test_trainings_that_cannot_be(
    service: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    request = {"system_name": "spark", "algorithm_name": "KMeans", "model_name": "onlinepredictor", **change}
    is_problem(await service.post("/training/trigger_model_training", json=request), status)


@pytest.mark.parametrize("path", ["/training/runs/none", "/training/runs/none/events"])
async def test_unknown_trainings_are_404(service: httpx.AsyncClient, path: str) -> None:
    is_problem(await service.get(path), 404)


BEYOND_TIME = base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+14:00", "x"]').decode()
NOT_UNICODE = base64.urlsafe_b64encode(rb'["2026-01-01T00:00:00+00:00", "\ud800"]').decode()


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24=", "WzEsMl0=", "é", BEYOND_TIME, NOT_UNICODE])
async def test_a_cursor_that_is_not_ours_is_422(service: httpx.AsyncClient, cursor: str) -> None:
    is_problem(await service.get("/training/runs", params={"cursor": cursor}), 422)


async def test_the_api_describes_itself(service: httpx.AsyncClient) -> None:
    page = (await service.get("/docs")).text
    assert "https://" not in page  # closed networks have no CDN
    [script] = re.findall(r'src="([^"]+)"', page)
    assert len((await service.get(script)).content) > 100_000
    paths = (await service.get("/openapi.json")).json()["paths"]
    assert {UPDATE, PREDICT, "/submission/submit", "/training/runs/{run_id}"} <= set(paths)
    assert (await service.get("/healthz")).json() == {"status": "ok"}
    assert (await service.get("/readyz")).json() == {"status": "ok"}
    assert (await service.head("/healthz")).status_code == 200
