"""Two services on one Ray cluster and one model store: they share replicas, and the last one ends them."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from common.processes.guarded import GuardedProcess, free_port
from tests.support.samples import unique_name
from tests.support.services import started_service
from tests.support.teams_models import TeamsModel

pytestmark = [pytest.mark.service, pytest.mark.hdfs, pytest.mark.timeout(300)]

WHO = "import os\ndef predict(inputs):\n    return {'label': str(os.getpid())}\n"


@pytest_asyncio.fixture(scope="module")
async def cluster() -> AsyncIterator[dict[str, str]]:
    """Settings that lead to a cluster, which wants a token."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # UNIX sockets below it have 107 bytes
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    port = free_port("127.0.0.2")
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    process = await GuardedProcess.start(
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
        *(f"--port={port}", "--node-ip-address=127.0.0.2", f"--temp-dir={folder / 'ray'}"),
        *("--include-dashboard=false", "--disable-usage-stats", "--num-cpus=2"),
        env={**os.environ, **settings},
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.2", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        yield {"RAY_ADDRESS": f"127.0.0.2:{port}", "RAY_AUTH_TOKEN": token.read_text()}
    finally:
        await process.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
