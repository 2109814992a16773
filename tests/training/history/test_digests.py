"""Digests of finished runs: made once, and again when what they were made of has changed."""

import asyncio
import threading
from typing import Any

import pytest

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from tests.support.finished_runs import JOBS, store_history
from tests.support.samples import context_end, job_end, stage
from training.history import digests as module
from training.history.condensed import History, condensed, unpacked
from training.history.digests import RunDigests
from training.history.from_documents import to_run_record
from training.history.values import RunRecord


@pytest.fixture
def digests(mongo: Client, database: str, executions: ExecutionRepository) -> RunDigests:
    return RunDigests(mongo, database, executions)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, threading.Thread]]:
    """Runs of which digests were made, and in which thread."""
    found: list[tuple[str, threading.Thread]] = []
    make = module.digest_of

    def noted(run: Any) -> Any:
        found.append((run.execution.id, threading.current_thread()))
        return make(run)

    monkeypatch.setattr(module, "digest_of", noted)
    return found


async def as_before(executions: ExecutionRepository, limit: int = 60) -> list[RunRecord]:
    found = await executions.finished_runs("spark", "KMeans", limit)
    return [condensed(to_run_record(execution, jobs)) for execution, jobs in found]


def read(history: History) -> list[RunRecord]:
    return [unpacked(run) for run in history.runs]


async def report(executions: ExecutionRepository, body: dict[str, Any]) -> None:
    event = UpdateInformation.model_validate(body).event()
    await executions.apply_event(body["application_execution_id"], event)


@pytest.mark.parametrize("limit", [1, 3, 60])
async def test_they_are_the_runs_that_would_be_read(
    executions: ExecutionRepository, digests: RunDigests, limit: int
) -> None:
    await store_history(executions)
    found = read(await digests.latest("spark", "KMeans", limit))
    assert found == await as_before(executions, limit)
    assert len(found) == min(limit, 4)
    assert not (await digests.latest("spark", "MPC", limit)).runs


async def test_they_are_made_once_and_in_a_thread(
    executions: ExecutionRepository,
    digests: RunDigests,
    mongo: Client,
    database: str,
    made: list[tuple[str, threading.Thread]],
) -> None:
    await store_history(executions)
    first, second = await asyncio.gather(*(digests.latest("spark", "KMeans", 60) for _ in range(2)))
    assert first == second == await digests.latest("spark", "KMeans", 60)
    assert len(made) == 4
    assert threading.main_thread() not in {thread for _, thread in made}
    another_service = RunDigests(mongo, database, executions)
    assert await another_service.latest("spark", "KMeans", 60) == first
    assert len(made) == 4


async def test_a_late_report_makes_a_digest_anew(
    executions: ExecutionRepository,
    digests: RunDigests,
    mongo: Client,
    database: str,
    made: list[tuple[str, threading.Thread]],
) -> None:
    """One that changes a job in the middle, and no time of the execution."""
    await store_history(executions)
    before = await digests.latest("spark", "KMeans", 60)
    other = RunDigests(mongo, database, executions)
    await other.latest("spark", "KMeans", 60)
    run = read(before)[1].run_id
    late = job_end(run, 2, start_seconds=8.0, runtime_seconds=1.0, stages={"99": stage(99, 1, 2)})
    times = (await executions.get(run)).model_dump(include={"end_time", "last_job_end_time", "start_time"})
    await report(executions, late)
    assert (await executions.get(run)).to_mongo().items() >= times.items()
    for each in (digests, other):
        after = await each.latest("spark", "KMeans", 60)
        assert after.key != before.key
        assert [len(job.stages) for job in read(after)[1].jobs] == [2, 2, 3, 2, 2, 2]
        assert read(after) == await as_before(executions)
    assert [execution_id for execution_id, _ in made[4:]] == [run]
    await report(executions, late)
    assert await digests.latest("spark", "KMeans", 60) == after


async def test_runs_with_lost_reports_are_left_out_until_they_come(
    executions: ExecutionRepository, digests: RunDigests
) -> None:
    await store_history(executions)
    [*_, last] = read(await digests.latest("spark", "KMeans", 60))
    await report(executions, context_end(last.run_id, 60.0, ended_jobs=JOBS + 1))
    assert last.run_id not in [run.run_id for run in read(await digests.latest("spark", "KMeans", 60))]
    await report(executions, job_end(last.run_id, JOBS, scale_out=6))
    found = read(await digests.latest("spark", "KMeans", 60))
    assert len(found[-1].jobs) == JOBS + 1
    assert found == await as_before(executions)


async def test_runs_with_unexplained_holes_are_left_out(
    executions: ExecutionRepository, digests: RunDigests
) -> None:
    await store_history(executions)
    first = (await as_before(executions))[0].run_id
    await report(executions, job_end(first, JOBS + 3, start_seconds=60.0))
    found = read(await digests.latest("spark", "KMeans", 60))
    assert len(found) == 3
    assert found == await as_before(executions)


async def test_what_cannot_be_read_is_left_out_until_it_is_mended(
    executions: ExecutionRepository,
    digests: RunDigests,
    mongo: Client,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store_history(executions)
    run = (await as_before(executions))[0].run_id
    jobs = mongo[database]["job_execution"]
    one = {"application_execution_id": run, "job_id": 3}
    await jobs.update_one(one, {"$set": {"stages.9.num_tasks": "many"}})
    assert len((await digests.latest("spark", "KMeans", 60)).runs) == 3
    await jobs.update_one(one, {"$set": {"stages.9.num_tasks": 12}})
    monkeypatch.setattr(module, "_UNREADABLE_SECONDS", -1.0)
    assert read(await digests.latest("spark", "KMeans", 60)) == await as_before(executions)


@pytest.mark.parametrize("change", [{"format": 99}, {"run": "text"}, {"fingerprint": "another"}])
async def test_what_another_version_stored_is_made_anew(
    executions: ExecutionRepository, mongo: Client, database: str, change: dict[str, Any]
) -> None:
    await store_history(executions)
    expected = await RunDigests(mongo, database, executions).latest("spark", "KMeans", 60)
    stored = mongo[database]["run_digest"]
    intact = await stored.find({}, {"made_at": 0}).to_list()
    assert len(intact) == 4
    await stored.update_many({}, {"$set": change})
    assert await RunDigests(mongo, database, executions).latest("spark", "KMeans", 60) == expected
    assert await stored.find({}, {"made_at": 0}).to_list() == intact


async def test_memory_is_bounded(
    executions: ExecutionRepository, mongo: Client, database: str, made: list[tuple[str, threading.Thread]]
) -> None:
    await store_history(executions)
    digests = RunDigests(mongo, database, executions, most_kept=2)
    found = await digests.latest("spark", "KMeans", 60)
    assert len(digests._kept._known) == 2
    assert await digests.latest("spark", "KMeans", 60) == found
    small = RunDigests(mongo, database, executions, kept_bytes=1)
    assert await small.latest("spark", "KMeans", 60) == found
    assert (len(small._kept._known), small._kept._bytes) == (0, 0)
    assert len(made) == 4


async def test_a_huge_job_is_small_in_its_digest(
    executions: ExecutionRepository, digests: RunDigests
) -> None:
    await store_history(executions)
    run = (await as_before(executions))[-1].run_id
    stages = {str(number): stage(number, 1, 2) for number in range(100, 3100)}
    await report(executions, job_end(run, 2, start_seconds=8.0, runtime_seconds=1.0, stages=stages))
    await digests.prepare(run)
    found = await digests.latest("spark", "KMeans", 60)
    assert max(map(len, found.runs)) < 4096
    assert read(found) == await as_before(executions)
