"""MongoDB members killed, stepping down, standing still under load: requests wait, or are 503, and go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pymongo import AsyncMongoClient

from common.mongo.types import Client
from tests.support.replica_set import ReplicaSet, replica_set
from tests.support.reporting import Drivers, check_stored, new_runs
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]

DATABASE = "enel_service"


@asynccontextmanager
async def under_load(
    folder: Path, members: int
) -> AsyncIterator[tuple[ReplicaSet, Drivers, httpx.AsyncClient]]:
    """A service on a replica set, of which drivers report; what it answered is checked in the end."""
    async with replica_set(folder / "set", members) as mongodb:
        given = {"MONGODB_ENDPOINT": mongodb.uri, "MONGODB_TIMEOUT_SECONDS": "5"}
        client: Client = AsyncMongoClient(mongodb.uri, tz_aware=True)
        drivers = Drivers(await new_runs(client, DATABASE, 8))
        async with started_service(folder / "service", **given) as service:
            async with (
                drivers.reporting(service.url),
                httpx.AsyncClient(base_url=service.url, timeout=60) as asking,
            ):
                await drivers.more(40)
                yield mongodb, drivers, asking
                await drivers.more(40)
            assert service.process.returncode is None
            assert "Traceback" not in service.log.read_text()
        assert set(drivers.answers) <= {200, 503}, drivers.answers
        assert not drivers.without_retry_after
        await check_stored(client, DATABASE, drivers.acknowledged)
        await client.close()


async def test_a_primary_that_is_killed_and_one_that_steps_down(tmp_path: Path) -> None:
    async with under_load(tmp_path, 3) as (mongodb, drivers, asking):
        killed = await mongodb.primary()
        await mongodb.kill(killed)
        assert await mongodb.primary() != killed
        await drivers.more(40)
        await mongodb.start([killed])
        await mongodb.step_down(await mongodb.primary())
        await mongodb.primary()
        await drivers.more(40)
        assert (await asking.get("/readyz")).status_code == 200


async def _restarted(mongodb: ReplicaSet, asking: httpx.AsyncClient) -> None:
    only = await mongodb.primary()
    await mongodb.kill(only)
    await _not_ready(asking, 2)
    await mongodb.start([only])
    await mongodb.primary()


async def _stands_still(mongodb: ReplicaSet, asking: httpx.AsyncClient) -> None:
    only = await mongodb.primary()
    mongodb.suspend(only)
    await _not_ready(asking, 20)
    mongodb.resume(only)
    await mongodb.primary()


async def _not_ready(asking: httpx.AsyncClient, seconds: float) -> None:
    """Wait for so long; whoever asks at the beginning is told that the service is not ready."""
    ready, _ = await asyncio.gather(asking.get("/readyz"), asyncio.sleep(seconds))
    assert ready.status_code == 503


@pytest.mark.long
@pytest.mark.parametrize("fault", [_restarted, _stands_still])
async def test_the_only_member_comes_back(
    tmp_path: Path, fault: Callable[[ReplicaSet, httpx.AsyncClient], Awaitable[None]]
) -> None:
    async with under_load(tmp_path, 1) as (mongodb, drivers, asking):
        failing = asyncio.create_task(fault(mongodb, asking))
        while not failing.done():
            assert (await asking.get("/healthz")).status_code == 200
            await asyncio.sleep(0.2)
        await failing
        await drivers.more(40)
        assert (await asking.get("/readyz")).status_code == 200
        if fault is _stands_still:
            assert drivers.answers[503], "two seconds are waited for; what takes longer is told"
