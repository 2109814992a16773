"""Lists as iteration, and logs of which only the end is kept."""

import httpx

from app.client.client import AsyncClient
from app.client.events import new_lines
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client as Mongo
from tests.support.finished_runs import JOBS, store_history
from tests.support.samples import unique_name


async def test_every_item_of_every_page(service: httpx.AsyncClient, mongo: Mongo) -> None:
    algorithm = unique_name("Paged")
    executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
    await store_history(executions, algorithm)
    async with AsyncClient(str(service.base_url), transport=service._transport) as client:
        whole = [each["_id"] async for each in client.iterate_applications(algorithm_name=algorithm)]
        paged = [each["_id"] async for each in client.iterate_applications(algorithm_name=algorithm, limit=1)]
        jobs = [job["job_id"] async for job in client.iterate_jobs(whole[0], limit=4)]
        assert [each async for each in client.iterate_decisions(whole[0])] == []
    assert whole == paged
    assert len(set(whole)) == 4
    assert jobs == list(range(JOBS))


async def test_a_page_is_asked_for_when_it_is_needed() -> None:
    asked: list[str] = []

    def pages(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("cursor", ""))
        return httpx.Response(200, json={"items": [1, 2], "next_cursor": str(len(asked))})

    async with AsyncClient("http://service", transport=httpx.MockTransport(pages)) as client:
        found = []
        async for item in client.iterate_models():
            found.append(item)
            if len(found) == 3:
                break
    assert (len(found), asked) == (3, ["", "1"])


def test_new_lines_of_a_log_whose_beginning_is_dropped() -> None:
    log = [f"line {number}" for number in range(20)]
    assert new_lines([], log[:3]) == log[:3]
    assert new_lines(log[:3], log[:3]) == []
    assert new_lines(log[:5], log[2:8]) == log[5:8]
    assert new_lines(log[:3], log[10:14]) == log[10:14]
