"""However reports come together, what is stored is what comes of one after the other."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from tests.support.samples import START_MS, application_start, at, context_end, execution, job_end

_OF_THE_CLOCK = ("_id", "received_at", "reported_after_end_at", "contradicted_at", "end_noticed_at")
_OF_THE_RUN = ("application_execution_id", "created_at", "state_changes")


async def stored(mongo: Client, database: str, run: str) -> dict[str, Any]:
    """A run and its jobs, without what is by the clock, or the run's own."""
    found = mongo[database]
    [application] = await found["application_execution"].find({"_id": run}).to_list()
    jobs = await found["job_execution"].find({"application_execution_id": run}).to_list()
    jobs.sort(key=lambda job: (job["application_id"], job["job_id"]))
    return {
        "application": _without_clock(application),
        "noted": [name for name in _OF_THE_CLOCK if application.get(name)],
        "jobs": [_without_clock(job) for job in jobs],
    }


def _without_clock(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in (*_OF_THE_CLOCK, *_OF_THE_RUN)}


def reports(generator: random.Random, run: str) -> list[dict[str, Any]]:
    """Of up to three drivers, some twice, some of attempts of one stage, in any order."""
    bodies: list[dict[str, Any]] = []
    for driver in range(generator.randint(1, 3)):
        name = f"spark-{driver}"
        started = START_MS + 60_000 * driver
        bodies.append(
            application_start(run, name, start_time=started, application_signature=f"name {driver}")
        )
        for job_id in range(generator.randint(0, 5)):
            bodies.append(
                job_end(
                    run,
                    job_id,
                    name,
                    start_seconds=60.0 * driver + 5 * job_id,
                    scale_out=1 + job_id,
                    refused_reports=job_id,
                )
            )
        if generator.random() < 0.5:
            bodies.append(context_end(run, 60.0 * driver + 40, name, ended_jobs=5))
    bodies += generator.choices(bodies, k=3)
    generator.shuffle(bodies)
    return bodies


async def new_run(executions: ExecutionRepository, ended: ApplicationState | None = None) -> str:
    run = execution()
    await executions.insert(run)
    if ended is not None:
        await executions.record_state(run.id, ended, fields={"end_time": at(70)})
    return run.id


def events(bodies: Sequence[dict[str, Any]]) -> list[Any]:
    return [UpdateInformation.model_validate(body).event() for body in bodies]


ENDS = [None, ApplicationState.COMPLETED, ApplicationState.FAILED, ApplicationState.KILLED]


@pytest.mark.parametrize("seed", range(12))
async def test_in_one_transaction_or_in_many(
    executions: ExecutionRepository, mongo: Client, database: str, seed: int
) -> None:
    """Also what is returned is what a read gives, after each of them."""
    end = ENDS[seed % len(ENDS)]
    one_by_one, together = [await new_run(executions, end) for _ in range(2)]
    bodies = reports(random.Random(seed), one_by_one)
    for event in events(bodies):
        returned = await executions.apply_event(one_by_one, event)
        assert returned == await executions.get(one_by_one)
    returned = await executions.apply_events(together, events(bodies))
    assert returned == await executions.get(together)
    assert await stored(mongo, database, together) == await stored(mongo, database, one_by_one)


@pytest.mark.parametrize("seed", range(8))
async def test_two_replicas_at_once(
    executions: ExecutionRepository, mongo: Client, database: str, seed: int
) -> None:
    """Both are sent everything, each in an order of its own, as when a driver sends again to another one."""
    generator = random.Random(1000 + seed)
    expected, run = [await new_run(executions) for _ in range(2)]
    bodies = [application_start(run), *(job_end(run, job_id, scale_out=1 + job_id) for job_id in range(8))]
    for event in events(bodies):
        await executions.apply_event(expected, event)
    replicas = [ExecutionRepository(mongo, database) for _ in range(2)]
    sent = []
    for replica in replicas:
        order = generator.sample(events(bodies), len(bodies))
        sent += [replica.apply_event(run, event) for event in order]
    generator.shuffle(sent)
    await asyncio.gather(*sent)
    assert await stored(mongo, database, run) == await stored(mongo, database, expected)
