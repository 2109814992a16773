"""Two services on one MongoDB and one HDFS: promotion, roll-back, outages, and periodic trainings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.support.hdfs_cluster import HdfsCluster, hdfs_cluster
from benchmarks.support.hdfs_jars import JarsMissing
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from tests.support.finished_runs import store_finished_runs
from tests.support.samples import application_start, execution, job_end
from tests.support.services import started_service

pytestmark = [pytest.mark.service, pytest.mark.hdfs, pytest.mark.timeout(600)]

ALGORITHM = "KMeans"
MODEL = f"spark.{ALGORITHM}.onlinepredictor"
TRAINING = {"system_name": "spark", "algorithm_name": ALGORITHM, "model_name": "onlinepredictor"}


@pytest.fixture
async def hdfs(tmp_path: Path) -> AsyncIterator[HdfsCluster]:
    """A cluster of the test's own, which may be stopped."""
    try:
        async with hdfs_cluster(tmp_path / "hdfs") as cluster:
            yield cluster
    except JarsMissing as reason:
        pytest.skip(f"no HDFS: {reason}")


@asynccontextmanager
async def replicas(
    folder: Path, hdfs: HdfsCluster, mongo_uri: str, database: str, **environment: str
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Clients of two services that share everything but their own folders."""
    settings = {
        "MONGODB_ENDPOINT": mongo_uri,
        "MONGODB_DATABASE": database,
        "HDFS_ENDPOINT": hdfs.endpoint,
        "HDFS_TIMEOUT_SECONDS": "20",
        "TRAINING_HEARTBEAT_SECONDS": "0.5",
        "TRAINING_TRIALS": "1",
        **environment,
    }
    async with AsyncExitStack() as stack:
        clients = []
        for name in ("one", "other"):
            service = await stack.enter_async_context(started_service(folder / name, **settings))
            client = httpx.AsyncClient(base_url=service.url, timeout=180)
            clients.append(await stack.enter_async_context(client))
        yield clients[0], clients[1]


async def store_runs(
    executions: ExecutionRepository, scale_outs: tuple[int, ...], *, slower: float = 1.0
) -> None:
    """Each an hour after the one before, so that it is known which are the newest."""
    for scale_out in scale_outs:
        hour = len(await executions.newest(limit=1000))
        await store_finished_runs(executions, ALGORITHM, [scale_out], slower=slower, hours_later=hour)


async def train(client: httpx.AsyncClient) -> dict[str, Any]:
    """Train, wait for the end, and return what came out of it."""
    answer = await client.post("/training/trigger_model_training", params={"wait": "true"}, json=TRAINING)
    run: dict[str, Any] = answer.json()
    assert (answer.status_code, run["state"]) == (200, "SUCCEEDED"), run
    result: dict[str, Any] = run["result"]
    return result


async def serving(client: httpx.AsyncClient, executions: ExecutionRepository) -> str | None:
    """Which model version answers a recommendation."""
    run = execution(algorithm_name=ALGORITHM, max_runtime=25.0)
    await executions.insert(run)
    await client.post("/training/update_information", json=application_start(run.id))
    answer = await client.post(
        "/prediction/online_scale_out_prediction", json={**job_end(run.id, 0), "predict": True}
    )
    assert answer.status_code == 200, answer.text
    assert [job for job, _ in answer.json()["best_predicted_scale_out_per_job"]] == [1, 2, 3, 4, 5]
    [decision] = await executions.decisions(run.id)
    await executions.record_state(run.id, ApplicationState.KILLED)  # nothing to learn from
    return decision.model_key


async def champion(client: httpx.AsyncClient) -> int | None:
    found = (await client.get(f"/models/{MODEL}")).json()["champion"]
    assert found is None or isinstance(found, int)
    return found


async def test_promotion_roll_back_and_outages_across_two_services(
    tmp_path: Path, hdfs: HdfsCluster, mongo_uri: str, executions: ExecutionRepository, database: str
) -> None:
    await store_runs(executions, (2, 3, 4, 6))
    # Versions from histories this clean differ by chance; what is much worse is another matter.
    generous = {"PROMOTION_TOLERANCE": "1"}
    async with replicas(tmp_path, hdfs, mongo_uri, database, **generous) as (one, other):
        first = await train(one)
        assert (first["version"], first["promotion"]["method"]) == (1, "first_version")
        assert await serving(one, executions) == await serving(other, executions) == f"{MODEL}/1"

        # Promotion: compared on runs that neither has seen, and noticed by the other at once.
        await store_runs(executions, (3, 4, 2, 5))
        second = await train(other)
        promotion = second["promotion"]
        assert (second["version"], promotion["promoted"], promotion["method"]) == (2, True, "unseen_runs")
        assert promotion["champion_version"] == 1
        assert promotion["runs"] == 2
        assert promotion["champion_error"] is not None
        assert promotion["version_error"] is not None
        assert await serving(one, executions) == await serving(other, executions) == f"{MODEL}/2"

        # What was learned from runs that are no guide is kept, but does not serve.
        await store_runs(executions, (3, 2, 4, 5, 6, 2, 3, 4, 5, 6), slower=6.0)
        await store_runs(executions, (3, 4, 2, 6, 5, 3))  # what it is judged on
        third = await train(one)
        refused = third["promotion"]
        assert (third["version"], refused["promoted"]) == (3, False)
        assert refused["version_error"] > 2 * refused["champion_error"]
        for figure in (refused["version_error"], refused["champion_error"]):
            assert f"{100 * figure:.0f}"[:1] in refused["reason"]
        assert await champion(other) == 2

        # Roll-back: one call, and the other serves the older version with its next answer.
        rolled_back = await one.put(
            f"/models/{MODEL}/aliases/champion", json={"version": 1, "reason": "slow"}
        )
        assert rolled_back.json()["champion"] == 1
        assert await serving(other, executions) == await serving(one, executions) == f"{MODEL}/1"
        assert (await one.delete(f"/models/{MODEL}/versions/1")).status_code == 409

        # Without HDFS: from the cache it goes on, and what is not in memory is 503, but stored.
        await one.put(f"/models/{MODEL}/aliases/champion", json={"version": 3})
        await hdfs.stop()
        assert await serving(one, executions) == f"{MODEL}/3"
        run = execution(algorithm_name=ALGORITHM)
        await executions.insert(run)
        event = {**job_end(run.id, 0), "predict": True}
        answer = await other.post("/prediction/online_scale_out_prediction", json=event)
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert answer.json()["stored"] is True
        assert len(await executions.finished_jobs(run.id)) == 1
        assert (await other.get(f"/prediction/preload/{ALGORITHM}")).status_code == 503
        assert (await other.get("/readyz")).status_code == 200
        await executions.record_state(run.id, ApplicationState.KILLED)

        # A training finishes, keeps its model, and publishes it when HDFS is back.
        waiting = await one.post("/training/trigger_model_training", params={"wait": "true"}, json=TRAINING)
        assert waiting.status_code == 202
        assert waiting.json()["state"] == "PUBLISHING"
        assert "HDFS" in waiting.json()["detail"]
        await hdfs.start()
        training_id = waiting.json()["training_id"]
        for _ in range(300):
            run_now = (await other.get(f"/training/runs/{training_id}")).json()
            if run_now["state"] == "SUCCEEDED":
                break
            await asyncio.sleep(0.2)
        assert run_now["state"] == "SUCCEEDED", run_now
        assert run_now["result"]["version"] == 4
        assert (await other.get(f"/prediction/preload/{ALGORITHM}")).status_code == 200
        versions = (await other.get(f"/models/{MODEL}/versions")).json()["items"]
        assert [version["version"] for version in versions] == [4, 3, 2, 1]


async def test_a_periodic_training_fires_once_for_both_services(
    tmp_path: Path,
    hdfs: HdfsCluster,
    mongo_uri: str,
    mongo: Client,
    executions: ExecutionRepository,
    database: str,
) -> None:
    await store_runs(executions, (2, 3, 4, 6))
    async with replicas(tmp_path, hdfs, mongo_uri, database, TRAINING_INTERVAL="1s") as (one, other):

        async def until_version(number: int) -> None:
            for _ in range(600):
                answer = await one.get(f"/models/{MODEL}")
                if answer.status_code == 200 and answer.json()["latest_version"] >= number:
                    return
                await asyncio.sleep(0.2)
            raise AssertionError(f"no version {number}: {(await one.get('/training/runs')).text}")

        async def firings() -> int:
            [schedule] = (await other.get("/training/schedules")).json()["items"]
            assert schedule["trigger"] == "every 1s"
            fired: int = schedule["fired"]
            return fired

        await until_version(1)
        before, began = await firings(), utc_now()
        await asyncio.sleep(6)
        # Both look twice a second; a second lies between two firings, whoever does it.
        seconds = (utc_now() - began) / timedelta(seconds=1)
        assert 2 <= await firings() - before <= seconds + 1
        [schedule] = (await one.get("/training/schedules")).json()["items"]
        assert schedule["last_outcome"].startswith("skipped")

        await store_runs(executions, (5,))
        await until_version(2)
        for _ in range(300):  # until it has been compared
            runs = (await other.get("/training/runs")).json()["items"]
            if all(run["state"] == "SUCCEEDED" for run in runs):
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        runs = (await other.get("/training/runs")).json()["items"]
        assert [run["trigger"] for run in runs] == ["every 1s", "every 1s"]
        assert {run["state"] for run in runs} == {"SUCCEEDED"}
