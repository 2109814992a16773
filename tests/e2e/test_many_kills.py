"""The service killed at random moments of reports, fifty times: what it acknowledged is there, once."""

import asyncio
import random
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from common.mongo.types import Client
from tests.support.left_processes import all_gone, command_line, mongod_of
from tests.support.reporting import Drivers, check_stored, new_runs
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.long, pytest.mark.timeout(3600)]

ROUNDS = 50
DATABASE = "enel_service"


def client_of(data_dir: Path) -> Client:
    arguments = command_line(mongod_of(data_dir / "mongodb"))
    port = arguments[arguments.index("--port") + 1]
    return AsyncMongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true", tz_aware=True)


@pytest.mark.parametrize("seed", [0])
async def test_what_was_acknowledged_survives_many_kills(tmp_path: Path, seed: int) -> None:
    moments, acknowledged = random.Random(seed), set[tuple[str, int]]()
    for _ in range(ROUNDS):
        async with started_service(tmp_path) as service:
            client = client_of(tmp_path)
            await check_stored(client, DATABASE, acknowledged)
            drivers = Drivers(await new_runs(client, DATABASE, 16))
            await client.close()

            async def kill() -> None:
                await asyncio.sleep(moments.uniform(0.0, 1.5))
                await service.kill()
                drivers.end()  # noqa: B023

            killing = asyncio.create_task(kill())
            async with drivers.reporting(service.url):
                await killing
            acknowledged |= drivers.acknowledged
        assert await all_gone(tmp_path)
    async with started_service(tmp_path):
        client = client_of(tmp_path)
        await check_stored(client, DATABASE, acknowledged)
        await client.close()
    assert acknowledged
