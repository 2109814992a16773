"""Services on one Ray cluster of two nodes: they share replicas, and trainings run there beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from app.client.client import AsyncClient
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.finished_runs import store_history
from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.hdfs, pytest.mark.timeout(300)]

WHO = "import os\ndef predict(inputs):\n    return {'label': str(os.getpid())}\n"


@pytest_asyncio.fixture(scope="module")
async def cluster() -> AsyncIterator[RayCluster]:
    """Two nodes, each with a processor."""
    async with ray_cluster(1, nodes=2) as nodes:
        yield nodes


async def test_they_use_each_others_replicas(
    cluster: RayCluster, mongo_uri: str, hdfs_endpoint: str, tmp_path: Path
) -> None:
    shared = {
        **cluster.settings,
        "MONGODB_ENDPOINT": mongo_uri,
        "MONGODB_DATABASE": unique_name("cluster"),
        "HDFS_ENDPOINT": hdfs_endpoint,
        "HDFS_OUTPUT_DIR": f"/{unique_name('cluster')}",
    }
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(started_service(tmp_path / "one", **shared))
        first = await stack.enter_async_context(httpx.AsyncClient(base_url=one.url, timeout=120))
        model = TeamsModel(first)
        await model.publish({"predict.py": WHO})
        who = (await model.ask()).json()["label"]
        async with (
            started_service(tmp_path / "other", **shared) as other,
            httpx.AsyncClient(base_url=other.url, timeout=120) as second,
        ):
            address = f"/serving/{model.short_name}/predict"
            there = await second.post(address, json={"inputs": {}})
            assert there.json()["label"] == who, "the same process answers both"
        assert (await model.ask()).json()["label"] == who, "who leaves ends nothing that is used"
        ended = await first.delete(f"/serving/{model.short_name}")
        assert ended.status_code == 200
        async with asyncio.timeout(30):
            while Path(f"/proc/{who}").exists():
                await asyncio.sleep(0.1)


async def test_a_training_runs_on_both_nodes_beside_a_model_that_is_served(
    cluster: RayCluster, mongo: Client, mongo_uri: str, tmp_path: Path
) -> None:
    database = unique_name("cluster")
    await store_history(ExecutionRepository(mongo, database))
    settings = {**cluster.settings, "MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": database}
    async with (
        started_service(tmp_path, **settings, TRAINING_HEARTBEAT_SECONDS="0.5") as service,
        httpx.AsyncClient(base_url=service.url, timeout=120) as asking,
        AsyncClient(service.url, timeout_seconds=120) as client,
    ):
        model = TeamsModel(asking)
        await model.publish({"predict.py": WHO})
        who = (await model.ask()).json()["label"]
        training_id = (await client.start_training("KMeans", trials=1000))["training_id"]
        nodes: set[int] = set()
        while len(nodes) < 2 or not (run := await client.training(training_id))["trials_done"]:
            nodes |= {node for node in (0, 1) if cluster.trials(node)}
            assert (await model.ask()).json()["label"] == who
            await asyncio.sleep(0.2)
        assert run["state"] == "RUNNING", run
        assert any(cluster.address in line for line in run["log"])
        await client.cancel_training(training_id)
        assert await cluster.no_trials()
        assert (await model.ask()).json()["label"] == who, "what is served is not the training's"

        trained = await client.start_training("KMeans", trials=2, wait_seconds=100)
        assert trained["state"] == "SUCCEEDED", trained
        assert cluster.token not in (await asking.get(f"/training/runs/{training_id}")).text
        assert cluster.token not in service.log.read_text()
        await asking.delete(f"/serving/{model.short_name}")
    await mongo.drop_database(database)
