"""Jobs of thousands of stages over HTTP: read, stored and shown in threads, and as small ones are."""

import json
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

from common.executions.documents import JobExecution
from common.executions.reports import changes
from common.executions.reports.changes import Run
from common.executions.repository import ExecutionRepository
from common.mongo.stored import Reader
from common.mongo.types import Client
from common.wire.events import MAX_JOB_PARENTS, JobEnded, UpdateInformation
from routers.media import large_json
from tests.support.samples import execution, job_end, stage, unique_name

STAGES = 1500

PATHS = ["/training/update_information", "/prediction/online_scale_out_prediction"]


def body_of(run: str, job_id: int = 0, count: int = STAGES, **updates: Any) -> dict[str, Any]:
    stages = {
        str(n): stage(n, 1_625_427_062_000, 1_625_427_063_000, parent_stage_ids=[n - 1] if n else [])
        for n in range(count)
    }
    return job_end(run, job_id, stages={**stages, str(count): None}, **updates)


@pytest.fixture
def executions(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    made = execution(algorithm_name=unique_name("Large"))
    await executions.insert(made)
    return made.id


@pytest.fixture
def on_the_loop(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is done about large jobs, in the thread of the event loop or beside it."""
    found: Counter[str] = Counter()

    def watch(owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def noted(*args: Any, **more: Any) -> Any:
            is_loop = threading.current_thread() is threading.main_thread()
            found[f"{what} on the loop" if is_loop else f"{what} beside"] += 1
            return original(*args, **more)

        monkeypatch.setattr(owner, name, noted)

    watch(large_json, "read_body", "body")
    watch(UpdateInformation, "event", "event")
    watch(Run, "take", "taking")
    watch(changes, "encoded", "encoding")
    return found


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("as_text", [False, True])
async def test_large_jobs_are_stored_as_small_ones_are(
    service: httpx.AsyncClient,
    executions: ExecutionRepository,
    run: str,
    on_the_loop: Counter[str],
    path: str,
    as_text: bool,
) -> None:
    body = body_of(run)
    sent = {**body, "updates": json.dumps(body["updates"])} if as_text else body
    for _ in range(2):  # the same again changes nothing
        answer = await service.post(path, json=sent)
        assert answer.status_code == 200, answer.text
    assert not [what for what in on_the_loop if what.endswith("on the loop")]
    assert {"body beside", "event beside", "taking beside", "encoding beside"} <= set(on_the_loop)
    [job] = await executions.finished_jobs(run)
    event = UpdateInformation.model_validate(body).event()
    assert isinstance(event, JobEnded)
    expected = changes.new_job(event, await executions.get(run), None)
    assert job.model_copy(update={"received_at": expected.received_at}) == expected
    assert (await executions.get(run)).last_job_id == 0


async def test_stages_that_come_later_are_merged_beside_the_loop(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str, on_the_loop: Counter[str]
) -> None:
    await service.post(PATHS[0], json=body_of(run))
    later = body_of(run, runtime_seconds=9.0)
    later["updates"]["stages"] = {
        str(int(key) + 1000): {**value, "stage_id": str(int(key) + 1000), "num_tasks": 99} if value else None
        for key, value in later["updates"]["stages"].items()
    }
    assert (await service.post(PATHS[0], json=later)).status_code == 200
    assert not [what for what in on_the_loop if what.endswith("on the loop")]
    [job] = await executions.finished_jobs(run)
    tasks = [each.num_tasks for each in job.stages.values() if each]
    assert (tasks.count(12), tasks.count(99), len(job.stages)) == (1000, 1500, 2501)


async def test_jobs_are_read_and_shown_beside_the_loop(
    service: httpx.AsyncClient,
    executions: ExecutionRepository,
    run: str,
    on_the_loop: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await service.post(PATHS[0], json=body_of(run))
    await service.post(PATHS[0], json=job_end(run, 1))
    threads: dict[int, threading.Thread] = {}
    one = Reader.one

    def noted(reader: Any, document: Any) -> Any:
        found = one(reader, document)
        if isinstance(found, JobExecution):
            threads[found.job_id] = threading.current_thread()
        return found

    monkeypatch.setattr(Reader, "one", noted)
    answer = await service.get(f"/submission/applications/{run}/jobs")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()
    jobs = await executions.finished_jobs(run)
    assert shown["items"] == [job.model_dump(mode="json", by_alias=True) for job in jobs]
    assert {name: value for name, value in shown.items() if name != "items"} == {
        "next_after_job_id": None,
        "hint": None,
        "unreadable": [],
    }


@pytest.mark.parametrize("path", PATHS)
async def test_errors_are_those_of_small_bodies(service: httpx.AsyncClient, run: str, path: str) -> None:
    """The same answer, however long a text beside it is."""
    for wrong in (
        {"update_event": "NOTHING"},
        {"job_id": -1},
        {"updates": "{"},
        {"updates": 3},
    ):
        answers = []
        for padding in ("", "x" * 2 * large_json.LARGE_BODY_BYTES):
            answer = await service.post(path, json={**job_end(run, 0), **wrong, "padding": padding})
            answers.append((answer.status_code, answer.json().get("errors"), answer.json()["title"]))
        assert answers[0] == answers[1]
        assert answers[0][0] == 422
    broken = json.dumps({**job_end(run, 0), "padding": "x" * 2 * large_json.LARGE_BODY_BYTES})[:-1]
    answer = await service.post(path, content=broken, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    impossible = body_of(run)
    impossible["updates"]["stages"]["7"]["num_tasks"] = -1
    answer = await service.post(path, json=impossible)
    assert answer.status_code == 422
    assert "num_tasks" in answer.text


def test_parents_of_a_job_are_bounded_together() -> None:
    stages = {str(n): {"parent_stage_ids": list(range(900))} for n in range(200)}
    event = UpdateInformation.model_validate(job_end("run", 0, stages=stages)).event()
    assert isinstance(event, JobEnded)
    counts = [len(each.parent_stage_ids) for each in event.stages.values() if each]
    assert sum(counts) == MAX_JOB_PARENTS
    assert counts[:111] == [900] * 111
    assert counts[112:] == [0] * 88
    assert len(stages["199"]["parent_stage_ids"]) == 900


async def test_a_job_has_no_more_stages_however_they_come(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_STAGES", 1600)
    assert (await service.post(PATHS[0], json=body_of(run))).status_code == 200
    more = body_of(run, count=0)
    more["updates"]["stages"] = {str(n): None for n in range(2000, 2200)}
    answer = await service.post(PATHS[0], json=more)
    assert answer.status_code == 413
    assert "at most 1600" in answer.text
    [job] = await executions.finished_jobs(run)
    assert len(job.stages) == STAGES + 1
