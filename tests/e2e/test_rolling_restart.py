"""Two replicas behind a balancer, restarted in turn under load: what clients repeat heals all of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.client.client import AsyncClient
from app.client.process import ServiceProcess
from benchmarks.support.kubernetes_api import kubernetes_api
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from common.processes.guarded import free_port
from tests.support.balancer import balanced
from tests.support.finished_runs import store_history
from tests.support.reporting import Drivers, check_stored, new_runs
from tests.support.samples import specs, unique_name
from tests.support.services import started_service
from training.runs.repository import TrainingRunRepository

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

BODY = {
    **specs(algorithm_name="Unknown"),  # nothing to forecast from, which takes its time beside a training
    "spark_template_values": {"main_application_file": "local:///opt/enel/kmeans.py"},
    "initial_scale_out_policy": "requested",
}


@dataclass
class Load:
    """What goes on beside the reports of drivers, by the Python client as it comes."""

    client: AsyncClient
    submitted: set[str] = field(default_factory=set)
    reads: int = 0

    async def _submit(self) -> None:
        self.submitted.add((await self.client.submit(BODY))["id"])

    async def _read(self) -> None:
        page = await self.client.applications(limit=5)
        for application in page["items"][:1]:
            await self.client.application(application["_id"])
        self.reads += 1

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Raises what a client raised: a request that no repetition has healed."""
        ending = asyncio.Event()

        async def repeat(work: Callable[[], Awaitable[None]]) -> None:
            while not ending.is_set():
                await work()
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            for work in (self._submit, self._read, self._read):
                group.create_task(repeat(work))
            try:
                yield
            finally:
                ending.set()


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=pytest.mark.long)])
async def test_nothing_fails_and_nothing_is_lost(
    mongo: Client, mongo_uri: str, tmp_path: Path, rounds: int
) -> None:
    database = unique_name("rolling")
    executions = ExecutionRepository(mongo, database)
    await store_history(executions)
    ports = [free_port(), free_port()]
    reporting = Drivers(await new_runs(mongo, database, 3))
    asking = Drivers(await new_runs(mongo, database, 1), ask=True)
    with kubernetes_api() as api:
        settings = {
            "MONGODB_ENDPOINT": mongo_uri,
            "MONGODB_DATABASE": database,
            "KUBERNETES_ENDPOINT": api.url,
            "TRAINING_HEARTBEAT_SECONDS": "0.5",
        }

        def replica(number: int) -> AbstractAsyncContextManager[ServiceProcess]:
            folder = tmp_path / f"replica{number}"
            return started_service(folder, **settings, PORT=str(ports[number]))

        async with AsyncExitStack() as stack:
            replicas = [await stack.enter_async_context(replica(number)) for number in (0, 1)]
            balancer = await stack.enter_async_context(balanced(ports))
            client = await stack.enter_async_context(AsyncClient(balancer.url, timeout_seconds=60))
            training_id = (await client.start_training("KMeans", trials=1000))["training_id"]
            trainings = TrainingRunRepository(mongo, database)
            load = Load(client)
            owners = []
            async with (
                reporting.reporting(balancer.url),
                asking.reporting(balancer.url),
                load.going_on(),
            ):
                for _ in range(rounds):
                    for number in (0, 1):
                        await more(reporting, asking, load)
                        owners.append(await owner(trainings, training_id))
                        assert await replicas[number].stop() == 0
                        await more(reporting, asking, load)
                        replicas[number] = await stack.enter_async_context(replica(number))
                await more(reporting, asking, load)
            owners.append(await owner(trainings, training_id))
            assert len(set(owners)) > rounds, owners
            run = await client.training(training_id)
            assert run["attempts"] == 1, f"a stop is no failed attempt: {run['log']}"
            await client.cancel_training(training_id)
            assert set(balancer.connections) == set(ports)
            for drivers in (reporting, asking):
                assert set(drivers.answers) <= {200, 503}, drivers.answers
                assert not drivers.without_retry_after
            await check_stored(mongo, database, reporting.acknowledged | asking.acknowledged)
            found = mongo[database]["application_execution"].find({"global_specs.algorithm_name": "Unknown"})
            assert {each["_id"] for each in await found.to_list()} == load.submitted
            assert len(api.names()) == len(load.submitted)
        for number in (0, 1):
            assert "Traceback" not in (tmp_path / f"replica{number}" / "service.log").read_text()
    await mongo.drop_database(database)


async def more(reporting: Drivers, asking: Drivers, load: Load) -> None:
    """Some of everything, on whatever replicas there are now."""
    reads, submitted = load.reads, len(load.submitted)
    await asyncio.gather(reporting.more(10), asking.more(2))
    async with asyncio.timeout(60):
        while load.reads < reads + 4 or len(load.submitted) < submitted + 4:
            await asyncio.sleep(0.05)


async def owner(trainings: TrainingRunRepository, training_id: str) -> str:
    """The replica that carries the training out now."""
    async with asyncio.timeout(60):
        while (run := await trainings.get(training_id)).state != "RUNNING" or run.owner is None:
            await asyncio.sleep(0.1)
    return run.owner
