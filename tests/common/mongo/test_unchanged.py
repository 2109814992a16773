"""Documents are read anew exactly where their bytes have changed."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from common.executions.documents import JobExecution
from common.mongo.stored import Readable
from common.mongo.types import Client
from common.mongo.unchanged import UnchangedReader
from tests.support.samples import specs

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def jobs(mongo: Client, database: str) -> Any:
    return mongo[database]["job_execution"]


def job(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "_id": f"e-{number}",
        "application_execution_id": "e",
        "application_id": "spark-1",
        "job_id": number,
        "global_specs": specs()["global_specs"],
        "optional_specs": {},
        "end_time": NOW,
        "received_at": NOW,
        **fields,
    }


async def read_all(reader: UnchangedReader[JobExecution]) -> Readable[JobExecution]:
    return await reader.many(reader.find({"application_execution_id": "e"}).sort("job_id"))


async def test_only_what_has_changed_is_read_anew(jobs: Any) -> None:
    reader = UnchangedReader(JobExecution, jobs)
    await jobs.insert_many([job(0), job(1)])
    first = await read_all(reader)
    assert first == [JobExecution.from_mongo(document) async for document in jobs.find().sort("job_id")]
    await jobs.update_one({"_id": "e-1"}, {"$set": {"end_scale_out": 7}})
    await jobs.insert_one(job(2))
    second = await read_all(reader)
    assert second[0] is first[0]
    assert [each.end_scale_out for each in second] == [None, 7, None]


async def test_what_cannot_be_read_is_left_out_until_it_is_mended(jobs: Any) -> None:
    reader = UnchangedReader(JobExecution, jobs)
    await jobs.insert_many([job(0), job(1, job_id="seven")])
    for _ in range(2):
        found = await read_all(reader)
        assert ([each.job_id for each in found], found.unreadable) == ([0], ["e-1"])
    await jobs.update_one({"_id": "e-1"}, {"$set": {"job_id": 1}})
    assert [each.job_id for each in await read_all(reader)] == [0, 1]


async def test_what_is_kept_is_bounded(jobs: Any) -> None:
    reader = UnchangedReader(JobExecution, jobs, most_bytes=1)
    await jobs.insert_one(job(0))
    [first], [second] = await read_all(reader), await read_all(reader)
    assert first == second
    assert first is not second


async def test_what_two_read_at_once_counts_once(jobs: Any) -> None:
    """Large ones are read in a thread, and another request may have read the same meanwhile."""
    reader = UnchangedReader(JobExecution, jobs)
    await jobs.insert_one(job(0, stages={str(n): None for n in range(60_000)}))
    [raw] = [document async for document in reader.find({})]
    await asyncio.gather(*(reader.take(raw) for _ in range(3)))
    assert reader._bytes == len(raw.raw)
