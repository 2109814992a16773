"""Drivers that report the ends of their jobs, and insist, while what is below them fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.samples import execution, job_end

UPDATE = "/training/update_information"
QUESTION = "/prediction/online_scale_out_prediction"

_PATIENCE_SECONDS = 120.0
"""For which anything that has to come is waited for."""


class Drivers:
    """Each reports one job after the other, and one again that was not acknowledged."""

    def __init__(self, runs: list[str], *, ask: bool = False) -> None:
        """With `ask`, every report is a question for a scale-out, too."""
        self.runs = runs
        self._ask = ask
        self.acknowledged: set[tuple[str, int]] = set()
        self.answers: Counter[int] = Counter()
        self.without_retry_after = 0
        self._ending = False

    async def more(self, count: int) -> None:
        """Returns when so many more were acknowledged."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.05)

    def end(self) -> None:
        """Report no more."""
        self._ending = True

    async def _drive(self, client: httpx.AsyncClient, run: str) -> None:
        job_id = 0
        path, question = (QUESTION, {"predict": True}) if self._ask else (UPDATE, {})
        while not self._ending:
            try:
                answer = await client.post(path, json={**job_end(run, job_id), **question})
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code == 200:
                self.acknowledged.add((run, job_id))
                job_id += 1
            else:
                self.without_retry_after += "retry-after" not in answer.headers
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def reporting(self, url: str) -> AsyncIterator[None]:
        self._ending = False
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            driving = [asyncio.create_task(self._drive(client, run)) for run in self.runs]
            try:
                yield
            finally:
                self._ending = True
                await asyncio.gather(*driving)


async def new_runs(client: Client, database: str, count: int) -> list[str]:
    runs = [execution() for _ in range(count)]
    for run in runs:
        await ExecutionRepository(client, database).insert(run)
    return [run.id for run in runs]


async def check_stored(client: Client, database: str, acknowledged: set[tuple[str, int]]) -> None:
    """All that was acknowledged is there, and nothing twice."""
    jobs = (
        await client[database]["job_execution"]
        .find({}, {"application_execution_id": 1, "job_id": 1})
        .to_list()
    )
    stored = [(job["application_execution_id"], job["job_id"]) for job in jobs]
    assert acknowledged <= set(stored), acknowledged - set(stored)
    assert len(set(stored)) == len(stored)
