"""The Python client: what it makes of answers, and that it brings nothing of the service along."""

import json
import subprocess
import sys

import httpx
import pytest

from app.client.client import AsyncClient, Client
from app.client.events import ServerEvents
from app.client.problems import ProblemError
from app.client.retries import NEVER
from common.settings.group import PROJECT_ROOT

HEAVY = ("fastapi", "numpy", "pymongo", "torch", "prediction", "routers", "submission", "training")


def answering(response: httpx.Response) -> AsyncClient:
    """Once: what is asked again is another file's matter."""
    transport = httpx.MockTransport(lambda _: response)
    return AsyncClient("http://service", transport=transport, retries=NEVER)


async def test_a_problem_says_all_that_the_service_says(service: httpx.AsyncClient) -> None:
    async with AsyncClient("http://127.0.0.1", transport=service._transport) as client:
        with pytest.raises(ProblemError) as unknown:
            await client.application("none")
        with pytest.raises(ProblemError) as wrong:
            await client.submit({"global_specs": {}})
    assert (unknown.value.status, unknown.value.members) == (404, {"type": "about:blank"})
    assert "none" in unknown.value.detail
    assert wrong.value.status == 422
    assert "global_specs.algorithm_name" in {error["field"] for error in wrong.value.errors}
    assert str(wrong.value).startswith("422 The request is not valid: ")


async def test_what_is_no_problem_of_the_service_is_one_all_the_same() -> None:
    answer = httpx.Response(502, text="<html>", headers={"retry-after": "5"})
    async with answering(answer) as client:
        with pytest.raises(ProblemError, match="502 Bad Gateway: <html>") as problem:
            await client.applications()
    assert problem.value.retry_after_seconds == 5


async def test_names_are_parts_of_a_path_and_nothing_more() -> None:
    asked: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    async with AsyncClient("http://service", transport=httpx.MockTransport(note)) as client:
        await client.model("../training/runs?state=QUEUED")
        await client.applications(algorithm_name="K Means", state=["RUNNING", "PENDING"])
    assert asked[0].url.raw_path == b"/models/..%2Ftraining%2Fruns%3Fstate%3DQUEUED"
    assert asked[1].url.params.get_list("state") == ["RUNNING", "PENDING"]


async def test_what_answers_may_be_something_else() -> None:
    page = httpx.Response(200, text="<html>", headers={"content-type": "text/html"})
    async with answering(page) as client:
        with pytest.raises(ProblemError, match="200 Something else than an Enel Service answers: text/html"):
            await client.applications()


def test_events_end_with_an_empty_line() -> None:
    events = ServerEvents()
    lines = ["event: log", "data: a: b", "", ": keep-alive", "", "data:", "data:  c", ""]
    assert [event for line in lines for event in events.of(line)] == [("log", "a: b"), ("message", "\n c")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_of_a_log_are_whole_whatever_is_in_them(size: int) -> None:
    """In whatever pieces they come; httpx takes eleven characters for the end of a line."""
    odd = "a\u2028b\u0085c\vd\fe\x1cf\x1dg\x1eh\u2029\0i"
    text = f"event: log\r\ndata: {odd}\r\n\r\nevent: log\ndata: next\n\n: ping\r\revent: end\rdata: over\r\r"
    events = ServerEvents()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = [event for piece in [*pieces, "\n"] for event in events.feed(piece)]
    assert found == [("log", odd), ("log", "next"), ("end", "over")]


async def test_what_is_followed_has_the_lines_that_were_written() -> None:
    odd = "a\u2028b\u0085c\vd\fe"
    body = f"event: log\ndata: {odd}\n\nevent: end\ndata: over\n\n"
    stream = httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})
    async with answering(stream) as client:
        assert [line async for line in client.follow_log("run")] == [odd]


def test_a_stream_may_end_with_a_problem() -> None:
    events = ServerEvents()
    said = json.dumps({"status": 503, "title": "No", "detail": "It may not."})
    assert [*events.of("event: problem"), *events.of(f"data: {said}")] == []
    with pytest.raises(ProblemError, match=r"503 No: It may not\."):
        next(events.of(""))


def test_both_clients_know_the_same_calls() -> None:
    methods = [
        {name for name in dir(kind) if not name.startswith("_") and name not in ("close", "aclose")}
        for kind in (Client, AsyncClient)
    ]
    assert methods[0] == methods[1]


def test_it_is_light() -> None:
    code = f"import sys, app.client.client, app.client.process; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == ""
