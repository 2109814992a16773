"""Two services on one MongoDB and one HDFS: promotion, roll-back, outages, and periodic trainings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from app.client.retries import NEVER
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
TRAINING_SECONDS = 180.0


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
) -> AsyncIterator[tuple[AsyncClient, AsyncClient]]:
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
            client = AsyncClient(service.url, timeout_seconds=180, retries=NEVER)
            clients.append(await stack.enter_async_context(client))
        yield clients[0], clients[1]


async def store_runs(
    executions: ExecutionRepository, scale_outs: tuple[int, ...], *, slower: float = 1.0
) -> None:
    """Each an hour after the one before, so that it is known which are the newest."""
    for scale_out in scale_outs:
        hour = len(await executions.newest(limit=1000))
        await store_finished_runs(executions, ALGORITHM, [scale_out], slower=slower, hours_later=hour)


async def train(client: AsyncClient) -> dict[str, Any]:
    """Train, wait for the end, and return what came out of it."""
    run = await client.start_training(ALGORITHM, wait_seconds=TRAINING_SECONDS)
    assert run["state"] == "SUCCEEDED", run
    assert run["result"] is not None
    return run["result"]


async def serving(client: AsyncClient, executions: ExecutionRepository) -> str | None:
    """Which model version answers a recommendation."""
    run = execution(algorithm_name=ALGORITHM, max_runtime=25.0)
    await executions.insert(run)
    await client.report(application_start(run.id))
    answer = await client.recommend(job_end(run.id, 0))
    assert [job for job, _ in answer["best_predicted_scale_out_per_job"]] == [1, 2, 3, 4, 5]
    [decision] = await executions.decisions(run.id)
    await executions.record_state(run.id, ApplicationState.KILLED)  # nothing to learn from
    return decision.model_key


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
        assert (await other.model(MODEL))["champion"] == 2

        # Roll-back: one call, and the other serves the older version with its next answer.
        rolled_back = await one.set_alias(MODEL, "champion", 1, reason="slow")
        assert rolled_back["champion"] == 1
        assert await serving(other, executions) == await serving(one, executions) == f"{MODEL}/1"
        with pytest.raises(ProblemError) as in_use:
            await one.delete_version(MODEL, 1)
        assert in_use.value.status == 409

        # Without HDFS: from the cache it goes on, and what is not in memory is 503, but stored.
        await one.set_alias(MODEL, "champion", 3)
        await hdfs.stop()
        assert await serving(one, executions) == f"{MODEL}/3"
        run = execution(algorithm_name=ALGORITHM)
        await executions.insert(run)
        with pytest.raises(ProblemError) as away:
            await other.recommend(job_end(run.id, 0))
        assert away.value.status == 503
        assert away.value.retry_after_seconds
        assert away.value.members["stored"] is True
        assert len(await executions.finished_jobs(run.id)) == 1
        with pytest.raises(ProblemError) as away:
            await other.preload(ALGORITHM)
        assert away.value.status == 503
        assert (await other.http.get("/readyz")).status_code == 200
        await executions.record_state(run.id, ApplicationState.KILLED)

        # A training finishes, keeps its model, and publishes it when HDFS is back.
        waiting = await one.start_training(ALGORITHM, wait_seconds=TRAINING_SECONDS)
        assert waiting["state"] == "PUBLISHING"
        assert "HDFS" in waiting["detail"]
        await hdfs.start()
        for _ in range(300):
            run_now = await other.training(waiting["training_id"])
            if run_now["state"] == "SUCCEEDED":
                break
            await asyncio.sleep(0.2)
        assert run_now["state"] == "SUCCEEDED", run_now
        assert run_now["result"] is not None
        assert run_now["result"]["version"] == 4
        await other.preload(ALGORITHM)
        versions = (await other.versions(MODEL))["items"]
        assert [version["version"] for version in versions] == [4, 3, 2, 1]


@pytest.mark.long
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
                registered = {model["name"]: model for model in (await one.models())["items"]}
                if MODEL in registered and registered[MODEL]["latest_version"] >= number:
                    return
                await asyncio.sleep(0.2)
            raise AssertionError(f"no version {number}: {await one.trainings()}")

        async def firings() -> int:
            [schedule] = (await other.training_schedules())["items"]
            assert schedule["trigger"] == "every 1s"
            fired: int = schedule["fired"]
            return fired

        await until_version(1)
        before, began = await firings(), utc_now()
        await asyncio.sleep(6)
        # Both look twice a second; a second lies between two firings, whoever does it.
        seconds = (utc_now() - began) / timedelta(seconds=1)
        assert 2 <= await firings() - before <= seconds + 1
        [schedule] = (await one.training_schedules())["items"]
        assert schedule["last_outcome"].startswith("skipped")

        await store_runs(executions, (5,))
        await until_version(2)
        for _ in range(300):  # until it has been compared
            runs = (await other.trainings())["items"]
            if all(run["state"] == "SUCCEEDED" for run in runs):
                break
            await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        runs = (await other.trainings())["items"]
        assert [run["trigger"] for run in runs] == ["every 1s", "every 1s"]
        assert {run["state"] for run in runs} == {"SUCCEEDED"}
