"""Two services on one machine, each with a Ray of its own for what is served and one for its training."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from app.client.client import AsyncClient
from app.client.process import ServiceProcess
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.finished_runs import store_history
from tests.support.left_processes import command_line, has_ended
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

WHO = "import os\ndef predict(inputs):\n    return {'label': str(os.getpid())}\n"

OPTIONS = ("--raylet_socket_name", "--store_socket_name", "--session_dir", "--gcs-address", "--cluster-id")
"""Of a raylet: by what its Ray is told from others."""


def descendants(service: ServiceProcess) -> dict[int, list[str]]:
    """Command lines of what the service has started, and what that has."""
    found = psutil.Process(service.process.pid).children(recursive=True)
    return {process.pid: command_line(process) for process in found}


def rays(service: ServiceProcess) -> list[dict[str, str]]:
    """What the raylets of a service were started with."""
    raylets = [line for line in descendants(service).values() if line and Path(line[0]).name == "raylet"]
    options = [dict(part.split("=", 1) for part in line if "=" in part) for line in raylets]
    return [{name: each[name] for name in OPTIONS if name in each} for each in options]


@pytest.mark.parametrize("first_trains", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_they_never_meet_and_one_goes_on_when_the_other_stops(
    mongo: Client, mongo_uri: str, tmp_path: Path, first_trains: bool
) -> None:
    """The first one serves, and trains as well where four Rays are to be there instead of three."""
    databases = [unique_name("private"), unique_name("private")]
    async with AsyncExitStack() as stack:
        services, clients, models, trainings = [], [], [], {}
        for name, database in zip(("one", "other"), databases, strict=True):
            await store_history(ExecutionRepository(mongo, database))
            settings = {
                "MONGODB_ENDPOINT": mongo_uri,
                "MONGODB_DATABASE": database,
                "TRAINING_HEARTBEAT_SECONDS": "0.5",
            }
            service = await stack.enter_async_context(started_service(tmp_path / name, **settings))
            asking = await stack.enter_async_context(httpx.AsyncClient(base_url=service.url, timeout=120))
            client = await stack.enter_async_context(AsyncClient(service.url, timeout_seconds=120))
            model = TeamsModel(asking, "greeter")
            await model.publish({"predict.py": WHO})
            if services or first_trains:
                trainings[client] = (await client.start_training("KMeans", trials=1000))["training_id"]
            services.append(service)
            clients.append(client)
            models.append(model)
        pids = [int((await model.ask()).json()["label"]) for model in models]
        for client, training_id in trainings.items():
            while not (await client.training(training_id))["trials_done"]:
                await asyncio.sleep(0.2)

        own, others = (rays(service) for service in services)
        assert (len(own), len(others)) == (1 + first_trains, 2), (own, others)
        assert all({"--raylet_socket_name", "--session_dir", "--gcs-address"} <= set(ray) for ray in own)
        for option in OPTIONS:
            values = [ray[option] for ray in own + others if option in ray]
            assert len(set(values)) == len(values), (option, values)
        for pid, service, stranger in zip(pids, services, reversed(services), strict=True):
            assert pid in descendants(service)
            assert pid not in descendants(stranger)

        left = descendants(services[0])
        training_id = trainings[clients[1]]
        done = (await clients[1].training(training_id))["trials_done"]
        assert await services[0].stop() == 0
        for _ in range(200):
            if left := {pid: line for pid, line in left.items() if not has_ended(pid)}:
                await asyncio.sleep(0.1)
        assert not left
        assert not [ray for ray in own if Path(ray["--raylet_socket_name"]).exists()]
        assert int((await models[1].ask()).json()["label"]) == pids[1], "the same process as before"
        while (run := await clients[1].training(training_id))["trials_done"] == done:
            await asyncio.sleep(0.2)
        assert (run["state"], run["attempts"]) == ("RUNNING", 1)
        assert rays(services[1]) == others
        await clients[1].cancel_training(training_id)
    for database in databases:
        await mongo.drop_database(database)
