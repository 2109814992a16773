"""Two services on a Ray cluster of two nodes share replicas, on both nodes, and the last one ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.hdfs, pytest.mark.timeout(300)]

WHO = "import os\ndef predict(inputs):\n    return {'label': str(os.getpid())}\n"


@pytest_asyncio.fixture(scope="module")
async def cluster() -> AsyncIterator[RayCluster]:
    """Two nodes, each with room for one replica: its threads are what it is counted as."""
    async with ray_cluster(2, nodes=2) as nodes:
        yield nodes


def node_of(cluster: RayCluster, process_id: str) -> int:
    """Which of the nodes has a process."""
    trees = [psutil.Process(node.pid).children(recursive=True) for node in cluster.nodes]
    [found] = [number for number, tree in enumerate(trees) if int(process_id) in {each.pid for each in tree}]
    return found


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
        await model.serve(replicas=2, threads=2)
        answering = {who}
        async with asyncio.timeout(90):
            while len(answering) < 2:
                answers = await asyncio.gather(*(model.ask() for _ in range(8)))
                answering |= {answer.json()["label"] for answer in answers}
        assert {node_of(cluster, each) for each in answering} == {0, 1}
        ended = await first.delete(f"/serving/{model.short_name}")
        assert ended.status_code == 200
        async with asyncio.timeout(30):
            while any(Path(f"/proc/{each}").exists() for each in answering):
                await asyncio.sleep(0.1)
