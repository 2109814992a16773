"""Routes that are answered directly: they say what FastAPI says, word for word."""

import json
from typing import Any

import fastapi.routing
import httpx
import pytest

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from routers.media import direct
from tests.support.impossible_events import IMPOSSIBLE
from tests.support.samples import application_start, execution, job_end, unique_name

PATHS = ["/training/update_information", "/prediction/online_scale_out_prediction"]
JSON = "application/json"

ODD = [
    ("no JSON", b'{"application_execution_id": ', JSON),
    ("nothing", b"", JSON),
    ("null", b"null", JSON),
    ("a list", b"[]", JSON),
    ("nested too deep", b"[" * 100_000, JSON),
    ("a number of too many digits", b'{"job_id": ' + b"1" * 5_000 + b"}", JSON),
    ("no UTF-8", b'{"application_execution_id": "\xff"}', JSON),
    ("half a character", json.dumps(job_end("\ud800", 0)).encode(), JSON),
    ("UTF-16", json.dumps(job_end("nobody", 0)).encode("utf-16"), JSON),
    ("a mark of the byte order", b"\xef\xbb\xbf" + json.dumps(job_end("nobody", 0)).encode(), JSON),
    ("a field twice", b'{"job_id": 1, ' + json.dumps(job_end("nobody", 0)).encode()[1:], JSON),
    ("nobody's", json.dumps(job_end("nobody", 0)).encode(), JSON),
    (
        "nobody's in another case",
        json.dumps(job_end("nobody", 0)).encode(),
        "Application/JSON ; charset=utf-8",
    ),
    ("a kind of JSON", json.dumps(job_end("nobody", 0)).encode(), "application/problem+json"),
    *((what, json.dumps(body).encode(), JSON) for what, body in IMPOSSIBLE),
]


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of requests whose dependencies FastAPI has found out."""
    found: list[str] = []
    solve = fastapi.routing.solve_dependencies

    async def noted(**given: Any) -> Any:
        found.append(given["request"].url.path)
        return await solve(**given)

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", noted)
    return found


def shown(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but what names the request."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "x-request-id"]
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("what", "body", "kind"), ODD, ids=[what for what, _, _ in ODD])
async def test_odd_requests_are_answered_as_by_fastapi(
    service: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, what: str, body: bytes, kind: str
) -> None:
    directly = await service.post(path, content=body, headers={"Content-Type": kind})
    monkeypatch.setattr(direct, "LARGE_BODY_BYTES", 0)
    by_fastapi = await service.post(path, content=body, headers={"Content-Type": kind})
    assert shown(directly) == shown(by_fastapi)
    assert directly.status_code in (400, 404, 413, 415, 422)


async def test_reports_are_stored_and_answered_as_by_fastapi(
    service: httpx.AsyncClient, mongo: Client, monkeypatch: pytest.MonkeyPatch, solved: list[str]
) -> None:
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    answers, stored = [], []
    algorithm = unique_name("Direct")
    for is_direct in (True, False):
        if not is_direct:
            monkeypatch.setattr(direct, "LARGE_BODY_BYTES", 0)
        run = execution(algorithm_name=algorithm)
        await executions.insert(run)
        sent = [
            (PATHS[0], application_start(run.id)),
            (PATHS[0], job_end(run.id, 0)),
            (PATHS[1], job_end(run.id, 1)),
            (PATHS[0], job_end(run.id, 1)),
        ]
        found = [await service.post(path, json=body) for path, body in sent]
        assert [each.status_code for each in found] == [200] * len(sent)
        answers.append([(each.headers["content-type"], each.text.replace(run.id, "")) for each in found])
        stored.append([job.job_id for job in await executions.finished_jobs(run.id)])
        assert solved == ([] if is_direct else [path for path, _ in sent])
    assert answers[0] == answers[1]
    assert stored == [[0, 1], [0, 1]]


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused_as_on_other_paths(service: httpx.AsyncClient, path: str) -> None:
    answer = await service.put(path, json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_what_takes_more_than_a_body_is_left_to_fastapi(
    service: httpx.AsyncClient, solved: list[str]
) -> None:
    path = "/training/trigger_model_training"
    answer = await service.post(path, params={"wait": "perhaps"}, json={"algorithm_name": "KMeans"})
    assert (answer.status_code, solved) == (422, [path])
