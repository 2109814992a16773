"""MongoDB stands still while reports wait: everybody is told, and it goes on by itself."""

import asyncio
from pathlib import Path

import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from common.executions.repository import ExecutionRepository
from common.mongo.embedded import embedded_mongod
from common.mongo.types import Client
from common.wire.events import JobEnded, UpdateInformation
from tests.support.left_processes import processes_of
from tests.support.samples import execution, job_end, unique_name


def job(run: str, job_id: int) -> JobEnded:
    event = UpdateInformation.model_validate(job_end(run, job_id)).event()
    assert isinstance(event, JobEnded)
    return event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mongodb"


async def test_all_that_wait_are_told_and_later_ones_are_stored(folder: Path) -> None:
    async with embedded_mongod(folder) as uri:
        client: Client = AsyncMongoClient(uri, tz_aware=True, timeoutMS=2000, serverSelectionTimeoutMS=2000)
        executions = ExecutionRepository(client, unique_name("away"))
        await executions.create_indexes()
        runs = [execution() for _ in range(3)]
        for run in runs:
            await executions.insert(run)
        [mongod] = [process for process in processes_of(folder) if process.name() == "mongod"]
        await _all_fail_while(mongod, executions, [run.id for run in runs])
        for run in runs:
            for job_id in range(12):
                await _until_stored(executions, run.id, job_id)
            assert [job.job_id for job in await executions.finished_jobs(run.id)] == list(range(12))
        assert not executions._reports._queues
        await client.close()


async def _all_fail_while(mongod: psutil.Process, executions: ExecutionRepository, runs: list[str]) -> None:
    await asyncio.gather(*(executions.apply_event(run, job(run, 0)) for run in runs))
    mongod.suspend()
    try:
        outcomes = await asyncio.gather(
            *(executions.apply_event(run, job(run, job_id)) for run in runs for job_id in range(1, 6)),
            return_exceptions=True,
        )
    finally:
        mongod.resume()
    assert len(outcomes) == 15
    assert all(isinstance(outcome, PyMongoError) for outcome in outcomes), outcomes


async def _until_stored(executions: ExecutionRepository, run: str, job_id: int) -> None:
    """As a driver sends it again."""
    for _ in range(60):
        try:
            await executions.apply_event(run, job(run, job_id))
            return
        except PyMongoError:
            await asyncio.sleep(0.2)
    pytest.fail("it did not go on")
