"""What a scrape of /metrics shows, read with Prometheus' own parser."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from pymongo import AsyncMongoClient

from app.http import metrics
from app.http.snapshot import count_states, read_stored
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion
from common.mongo.types import Client
from prediction.serving.cache import Files, ModelCache
from prediction.serving.worker_pool import WorkerFailed, WorkerPool
from tests.support.publishing.publishing_service import Service
from tests.support.samples import execution
from tests.support.scraping import scrape
from training.runs.repository import TrainingRunRepository


def requests(found: dict, route: str, status: int, method: str = "GET") -> float:
    labels = frozenset({("method", method), ("route", route), ("status", str(status))})
    return found.get(("enel_http_request_duration_seconds_count", labels), 0.0)


async def test_requests_are_counted_by_route_and_not_by_path(service: httpx.AsyncClient) -> None:
    before = await scrape(service)
    for name in ("none-of-these", "nor-this"):
        assert (await service.get(f"/submission/applications/{name}")).status_code == 404
    assert (await service.get("/no/such/route")).status_code == 404
    after = await scrape(service)

    route = next(
        dict(labels)["route"] for _, labels in after if "applications/{" in dict(labels).get("route", "")
    )
    assert requests(after, route, 404) - requests(before, route, 404) == 2
    assert requests(after, "none", 404) - requests(before, "none", 404) == 1
    assert not any("none-of-these" in value for _, labels in after for _, value in labels)


async def test_applications_are_counted_by_state(service: httpx.AsyncClient, mongo: Client) -> None:
    database = service.database  # type: ignore[attr-defined]
    before = await scrape(service)
    run = execution()
    await ExecutionRepository(mongo, database).insert(run)
    after = await scrape(service)
    key = ("enel_applications", frozenset({("state", run.state.value)}))
    assert after[key] - before.get(key, 0.0) == 1
    assert after["enel_mongodb_up", frozenset()] == 1


def worker_pid(_: int) -> int:
    return os.getpid()


async def wait_for(file: Path) -> None:
    async with asyncio.timeout(60):
        while not file.exists():
            await asyncio.sleep(0.02)


def touch_and_wait(file: Path) -> None:
    file.touch()
    threading.Event().wait()


async def nothing_kept() -> set[str]:
    return set()


async def no_files(_: ModelVersion) -> Files:
    raise AssertionError("nobody asks for a model here")


def counted_of(mongo: Client, database: str, **others: Any) -> Any:
    """What metrics read of a service's state."""
    return SimpleNamespace(
        executions=ExecutionRepository(mongo, database),
        pretraining=SimpleNamespace(runs=TrainingRunRepository(mongo, database)),
        access=SimpleNamespace(refusals={}),
        instruments=Instruments(),
        models=SimpleNamespace(cache=ModelCache(no_files, entries=1, size_bytes=1)),
        messages=SimpleNamespace(opened=None),
        serving=SimpleNamespace(
            models=SimpleNamespace(
                awake=[], engine=SimpleNamespace(state=SimpleNamespace(is_running=False, deaths=0))
            )
        ),
        **{"publisher": SimpleNamespace(kept=nothing_kept), **others},
    )


async def test_troubles_of_workers_are_counted(mongo: Client, database: str, tmp_path: Path) -> None:
    pool = WorkerPool(workers=1, timeout_seconds=60.0)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {"service": counted_of(mongo, database, workers=pool)}
        await pool.close()

    app = FastAPI(lifespan=lifespan)
    metrics.install(app, database)
    async with LifespanManager(app, shutdown_timeout=60) as manager:
        transport = httpx.ASGITransport(app=manager.app)
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

        async def counted() -> tuple[float, float, float]:
            found = await scrape(client)
            overruns = [
                found["enel_prediction_overruns_total", frozenset({("limit", limit)})]
                for limit in ("timeout", "deadline")
            ]
            return (found["enel_prediction_worker_replacements_total", frozenset()], *overruns)

        os.kill(await pool.run(worker_pid, 0), signal.SIGKILL)
        await pool.run(worker_pid, 0)
        assert await counted() == (1, 0, 0)

        running = asyncio.create_task(pool.run(touch_and_wait, tmp_path / "running"))
        await wait_for(tmp_path / "running")
        found = await scrape(client)
        for state, count in (("waiting", 0), ("computing", 1)):
            assert found["enel_prediction_requests", frozenset({("state", state)})] == count
        pool.deadline_seconds = 0.1
        with pytest.raises(WorkerFailed, match="No worker was free"):
            await pool.run(worker_pid, 0)
        running.cancel()
        assert (await counted())[1:] == (0, 1)

        pool.deadline_seconds, pool.timeout_seconds = 60.0, 0.1
        with pytest.raises(WorkerFailed, match=r"No result within 0\.1 s"):
            await pool.run(touch_and_wait, tmp_path / "running")
        assert (await counted())[1:] == (1, 1)
        await client.aclose()


async def test_without_mongodb_nothing_is_claimed_about_states(
    service: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere: Client = AsyncMongoClient("mongodb://127.0.0.1:9", timeoutMS=200)
    try:
        assert await count_states(counted_of(nowhere, "any")) is None
    finally:
        await nowhere.close()

    async def no_answer(*_: object) -> None:
        return None

    monkeypatch.setattr("app.http.snapshot.count_states", no_answer)
    found = await scrape(service)
    assert found["enel_mongodb_up", frozenset()] == 0
    assert not any(name == "enel_applications" for name, _ in found)
    assert any(name == "enel_http_request_duration_seconds_count" for name, _ in found)


async def test_models_that_are_to_be_published_are_counted(
    mongo: Client, database: str, registry: ModelRegistry, tmp_path: Path
) -> None:
    service = Service(TrainingRunRepository(mongo, database), registry, tmp_path)
    publisher = service.publisher()
    for count in (1, 2):
        await service.train()
        assert (await read_stored(counted_of(mongo, database, publisher=publisher))).outbox == count
    await publisher.publish_all()
    assert (await read_stored(counted_of(mongo, database, publisher=publisher))).outbox == 0
