"""Two services on one Ray cluster and one model store: they share replicas, and the last one ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.ray_cluster import ray_cluster
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.hdfs, pytest.mark.timeout(300)]

WHO = "import os\ndef predict(inputs):\n    return {'label': str(os.getpid())}\n"


@pytest_asyncio.fixture(scope="module")
async def cluster() -> AsyncIterator[dict[str, str]]:
    """Settings that lead to a cluster, which wants a token."""
    async with ray_cluster(2) as cluster:
        yield cluster.settings


async def test_they_use_each_others_replicas(
    cluster: dict[str, str], mongo_uri: str, hdfs_endpoint: str, tmp_path: Path
) -> None:
    shared = {
        **cluster,
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
