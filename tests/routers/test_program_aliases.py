"""What clients in the field send to start a program, and how they poll its log."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import requests

from benchmarks.support.kubernetes_api import kubernetes_api
from common.auth import Role
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.specs import ProgramSpec
from routers.media.accepting import wants_text
from routers.programs.aliases import DONE, arguments_of
from submission.log_lines import LINE_BYTES
from tests.support.samples import execution, unique_name
from tests.support.services import started_service
from tests.support.tokens import Guarded, bearer, guarded_service

WANTED = ["--epochs", "3", "--name", "two words"]
LINE = "--epochs 3 --name 'two words'"


# --- starting -------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def field(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A service of its own process, where nothing runs, with a program in it."""
    environment = {"MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": unique_name("aliases")}
    with kubernetes_api() as api:
        async with (
            started_service(
                tmp_path_factory.mktemp("aliases"), KUBERNETES_ENDPOINT=api.url, **environment
            ) as process,
            httpx.AsyncClient(base_url=process.url, timeout=60) as client,
        ):
            (await client.put("/workspaces/ada")).raise_for_status()
            for path in ("train.py", "digits/learn.py"):
                (await client.put(f"/workspaces/ada/files/{path}", content=b"print(1)")).raise_for_status()
            yield client


async def started(client: httpx.AsyncClient, answer: dict[str, Any]) -> tuple[str, str, list[Any]]:
    """File, folder and arguments of the run that an answer names."""
    assert answer["logs"] == f"/logs/ada?run_id={answer['run_id']}"
    assert answer["message"]
    run = (await client.get(f"/training/program_runs/{answer['run_id']}")).json()
    return run["program"]["file"], run["program"]["folder"], run["arguments"]


LEARN = ("learn.py", "digits", WANTED)


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {"file": "learn.py", "location": "digits", "arguments": LINE}},
        {"data": {"file": "learn.py", "location": "digits", "arguments": json.dumps(WANTED)}},
        {"data": {"file": "learn.py", "location": "digits", "arguments": WANTED}},
        {"json": {"file": "learn.py", "location": "digits", "arguments": LINE}},
        {"json": {"file": "learn.py", "location": "digits", "arguments": WANTED}},
        {"json": {"file": "learn.py", "location": "digits", "arguments": json.dumps(WANTED)}},
    ],
    ids=["form-line", "form-json", "form-list", "json-line", "json-list", "json-text"],
)
async def test_forms_and_json(field: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    answer = await field.post("/train/ada", **sent)
    assert answer.status_code == 200, answer.text
    assert await started(field, answer.json()) == LEARN
    by_requests = await asyncio.to_thread(requests.post, f"{field.base_url}/train/ada", timeout=60, **sent)
    assert await started(field, by_requests.json()) == LEARN


async def test_several_parts(field: httpx.AsyncClient) -> None:
    parts: dict[str, Any] = {
        name: (None, value)
        for name, value in {"file": "learn.py", "location": "digits", "arguments": LINE}.items()
    }
    answer = await asyncio.to_thread(requests.post, f"{field.base_url}/train/ada", files=parts, timeout=60)
    assert await started(field, answer.json()) == LEARN
    file = {"file": ("learn.py", b"print(1)")}
    refused = await asyncio.to_thread(requests.post, f"{field.base_url}/train/ada", files=file, timeout=60)
    assert refused.status_code == 422
    assert "PUT /workspaces" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-X", "POST"], ("train.py", ".", [])),
        (["-d", "file=learn.py", "-d", "location=digits", "--data-urlencode", f"arguments={LINE}"], LEARN),
        (["-F", "file=learn.py", "-F", "location=digits", "-F", f"arguments={json.dumps(WANTED)}"], LEARN),
        (
            ["-H", "Content-Type: application/json", "-d", '{"arguments": [1, 2.5]}'],
            ("train.py", ".", [1, 2.5]),
        ),
    ],
)
async def test_curl(
    field: httpx.AsyncClient, options: list[str], expected: tuple[str, str, list[Any]]
) -> None:
    command = ["curl", "--silent", "--show-error", f"{field.base_url}/train/ada", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert await started(field, json.loads(output)) == expected


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"data": {"arguments": "it's"}}, 422, "No closing quotation"),
        ({"data": {"arguments": "['--epochs']"}}, 422, "a list in JSON"),
        ({"json": {"arguments": {"epochs": 3}}}, 422, "arguments"),
        ({"json": {"arguments": "x " * 1000}}, 422, "arguments"),
        ({"json": ["train.py"]}, 422, "dictionary"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "no JSON"),
        ({"data": {"file": ["a.py", "b.py"]}}, 422, "file"),
        ({"data": {"file": "missing.py"}}, 422, "missing.py"),
        ({"data": {"location": "nowhere"}}, 404, "nowhere"),
        ({"data": {'{"file": "train.py"}': ""}}, 422, "application/json"),
        ({"content": b"train.py", "headers": {"Content-Type": "text/plain"}}, 415, "JSON"),
    ],
)
async def test_what_is_wrong_is_told(
    field: httpx.AsyncClient, sent: dict[str, Any], status: int, told: str
) -> None:
    answer = await field.post("/train/ada", **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.text


async def test_the_same_key_starts_nothing_anew(field: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": unique_name("key")}
    answers = [await field.post("/train/ada", data={"arguments": "1"}, headers=key) for _ in range(2)]
    assert answers[0].json()["run_id"] == answers[1].json()["run_id"]


async def test_of_another_workspace_there_is_nothing(field: httpx.AsyncClient) -> None:
    assert (await field.post("/train/nobody", data={"file": "train.py"})).status_code == 404
    assert (await field.post("/train/NO", data={"file": "train.py"})).status_code == 422


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:60.0) Gecko/20100101 Firefox/60.0"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example.org", "Authorization": "Bearer x"}, 403),
        ({"User-Agent": FIREFOX}, 415),
        ({"Referer": "https://evil.example.org/"}, 415),
        ({"Cookie": "a=b"}, 415),
        ({"User-Agent": FIREFOX, "Authorization": "Basic eDp5"}, 415),
        ({"User-Agent": FIREFOX, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"User-Agent": FIREFOX, "Origin": "HERE"}, 200),
    ],
)
async def test_no_form_of_another_page_starts_a_program(
    field: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    shown = {name: value.replace("HERE", str(field.base_url).rstrip("/")) for name, value in headers.items()}
    for sent in ({"data": {"file": "train.py"}}, {"files": {"file": (None, b"train.py")}}):
        before = (await field.get("/training/programs/ada/runs?limit=1")).json()["items"][:1]
        answer = await field.post("/train/ada", headers=shown, **sent)
        assert answer.status_code == status, answer.text
        after = (await field.get("/training/programs/ada/runs?limit=1")).json()["items"][:1]
        assert (before == after) == (status != 200)


async def test_forms_are_taken_nowhere_else(field: httpx.AsyncClient) -> None:
    for path in ("/training/programs/ada/runs", "/train/ada/x", "/submission/submit"):
        assert (await field.post(path, data={"file": "train.py"})).status_code == 415


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("  a  'b c' ", ["a", "b c"]),
        ('[1, "b c", true]', [1, "b c", True]),
        ("a[0] b", ["a[0]", "b"]),
    ],
)
def test_arguments(text: str, arguments: list[Any]) -> None:
    assert arguments_of(text) == arguments


@pytest.mark.parametrize(
    ("accept", "is_text"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/plain", True),
        ("text/plain, */*", True),
        ("application/json, text/plain, */*", False),
        ("application/json;q=0.5, text/plain", True),
        ("text/plain;q=0, application/json", False),
        ("text/plain;q=odd", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
    ],
)
def test_what_is_asked_for(accept: str, is_text: bool) -> None:
    assert wants_text(accept) is is_text


# --- polling --------------------------------------------------------------------------------------


def runner_of(data_dir: Path) -> str:
    """What a service on a shared MongoDB calls its local Spark."""
    return f"local/{(data_dir / 'instance').read_text()}"


class Written:
    """A run of a workspace's program, whose log a test writes."""

    def __init__(self, service: httpx.AsyncClient, mongo: Client, workspace: str) -> None:
        self.service, self.workspace = service, workspace
        self.run: ApplicationExecution = execution()
        self.run.program = ProgramSpec(workspace=workspace)
        self.executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
        folder: Path = service.data_dir  # type: ignore[attr-defined]
        self.run.runner = runner_of(folder)
        self.log = folder / "spark" / "applications" / self.run.id / "driver.log"

    async def store(self) -> None:
        await self.service.put(f"/workspaces/{self.workspace}")
        await self.executions.insert(self.run)

    def write(self, text: str) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as file:
            file.write(text)

    async def end(self) -> None:
        await self.executions.record_state(self.run.id, ApplicationState.COMPLETED)

    async def poll(self, offset: int, accept: str = "application/json", **params: str) -> httpx.Response:
        return await self.service.get(
            f"/logs/{self.workspace}", params={"offset": offset, **params}, headers={"Accept": accept}
        )


@pytest_asyncio.fixture
async def written(service: httpx.AsyncClient, mongo: Client) -> Written:
    run = Written(service, mongo, unique_name("u").replace("_", "-").lower())
    await run.store()
    return run


async def test_every_line_comes_once_while_the_log_grows(written: Written) -> None:
    first = (await written.poll(0)).json()
    assert first == {
        "lines": [],
        "offset": 0,
        "finished": False,
        "run_id": written.run.id,
        "state": "NEW",
        "state_reason": "",
    }
    told: list[str] = []
    pieces = ["one\ntwo\nthr", "ee\n", "", "x" * (2 * LINE_BYTES), "y\n\n", "no end"]
    for piece in pieces:
        written.write(piece)
        answer = (await written.poll(len(told))).json()
        told += answer["lines"]
        assert (answer["offset"], answer["finished"]) == (len(told), False)
    assert told[-1] == ""
    await written.end()
    last = (await written.poll(len(told))).json()
    assert (last["lines"], last["finished"], last["state"]) == (["no end"], True, "COMPLETED")
    again = (await written.poll(0)).json()
    assert [*told, "no end"] == again["lines"]
    cut = "x" * LINE_BYTES + f" … (cut: the line has {2 * LINE_BYTES + 1:,} bytes)"
    assert again["lines"] == ["one", "two", "three", cut, "", "no end"]
    assert (await written.poll(last["offset"])).json() == {**last, "lines": []}


async def test_plain_text_ends_with_a_mark(written: Written) -> None:
    written.write("one\ntwo")
    answer = await written.poll(0, "text/plain")
    assert answer.headers["content-type"].startswith("text/plain")
    assert (answer.text, answer.headers["x-log-offset"]) == ("one\n", "1")
    await written.end()
    assert (await written.poll(1, "text/plain")).text == f"two\n{DONE}\n"
    assert (await written.poll(2, "text/plain")).text == f"{DONE}\n"


async def test_a_long_log_comes_in_several_answers(written: Written) -> None:
    written.write("".join(f"line {number}\n" for number in range(25_000)))
    await written.end()
    told: list[str] = []
    answers = 0
    finished = False
    while not finished:
        answer = (await written.poll(len(told))).json()
        told, finished, answers = told + answer["lines"], answer["finished"], answers + 1
        assert len(answer["lines"]) <= 10_000
    assert told == [f"line {number}" for number in range(25_000)]
    assert answers == 3


async def test_the_latest_run_unless_another_one_is_named(
    written: Written, service: httpx.AsyncClient, mongo: Client
) -> None:
    written.write("first\n")
    later = Written(service, mongo, written.workspace)
    await later.store()
    later.write("second\n")
    assert (await written.poll(0)).json()["lines"] == ["second"]
    assert (await written.poll(0, run_id=written.run.id)).json()["lines"] == ["first"]
    other = Written(service, mongo, "elsewhere")
    await other.store()
    assert (await written.poll(0, run_id=other.run.id)).status_code == 404
    assert (await written.poll(0, run_id="none")).status_code == 404
    assert (await written.poll(-1)).status_code == 422


async def test_nothing_has_run_yet(service: httpx.AsyncClient) -> None:
    await service.put("/workspaces/idle")
    assert "has run" in (await service.get("/logs/idle")).json()["detail"]
    assert "no workspace" in (await service.get("/logs/nobody")).json()["detail"]


# --- rights ---------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded")) as service:
        yield service


async def test_only_who_may(guarded: Guarded) -> None:
    ada, bob = [await guarded.new(name, Role.SUBMITTER) for name in ("ada", "bob")]
    owner = await guarded.of(ada)
    await owner.put("/workspaces/private", json={"readers": []})
    run = execution()
    folder: Path = guarded.client.data_dir  # type: ignore[attr-defined]
    run.runner, run.program = runner_of(folder), ProgramSpec(workspace="private")
    await guarded.executions.insert(run)
    assert (await owner.get("/logs/private")).status_code == 200
    other = await guarded.of(bob)
    assert (await other.get("/logs/private")).status_code == 403
    assert (await other.get(f"/logs/private?run_id={run.id}")).status_code == 403
    refused = await guarded.client.post(
        "/train/private", data={"file": "train.py"}, headers={**bearer(bob), "User-Agent": FIREFOX}
    )
    assert refused.status_code == 403
    assert "may not run programs" in refused.json()["detail"]
    assert (await owner.post("/train/private", data={"file": "train.py"})).status_code == 404  # no file yet
