"""What a scrape of /metrics shows, read with Prometheus' own parser."""

from collections.abc import Iterable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pymongo import AsyncMongoClient

from app.metrics import count_states
from common.executions import ExecutionRepository
from common.mongo import Client
from tests.samples import execution


async def scrape(service: httpx.AsyncClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = await service.get("/metrics")
    assert answer.status_code == 200
    families: Iterable = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def requests(metrics: dict, route: str, status: int, method: str = "GET") -> float:
    labels = frozenset({("method", method), ("route", route), ("status", str(status))})
    return metrics.get(("enel_http_request_duration_seconds_count", labels), 0.0)


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


async def test_without_mongodb_nothing_is_claimed_about_states(
    service: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere: Client = AsyncMongoClient("mongodb://127.0.0.1:9", timeoutMS=200)
    try:
        assert await count_states(nowhere, "any") is None
    finally:
        await nowhere.close()

    async def no_answer(*_: object) -> None:
        return None

    monkeypatch.setattr("app.metrics.count_states", no_answer)
    metrics = await scrape(service)
    assert metrics["enel_mongodb_up", frozenset()] == 0
    assert not any(name == "enel_applications" for name, _ in metrics)
    assert any(name == "enel_http_request_duration_seconds_count" for name, _ in metrics)
