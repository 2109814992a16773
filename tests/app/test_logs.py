"""The log as JSON, and the ids in it."""

import json
from pathlib import Path

import httpx

from app.client.client import AsyncClient
from tests.support.services import started_service


async def test_every_answer_has_an_id_and_a_callers_own_is_kept(service: httpx.AsyncClient) -> None:
    given = await service.get("/healthz", headers={"X-Request-ID": "mine-1"})
    assert given.headers["X-Request-ID"] == "mine-1"
    made = [(await service.get("/healthz")).headers["X-Request-ID"] for _ in range(2)]
    assert len({*made}) == 2
    odd = await service.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert len(odd.headers["X-Request-ID"]) == 32
    assert (await service.get("/nowhere")).headers["X-Request-ID"]


async def test_the_log_as_json_has_the_ids(tmp_path: Path, mongo_uri: str) -> None:
    settings = {"LOG_FORMAT": "json", "MONGODB_ENDPOINT": mongo_uri, "ADMIN_TOKEN": "a-token-of-the-tests"}
    async with (
        started_service(tmp_path, **settings) as service,
        AsyncClient(service.url, token="a-token-of-the-tests") as client,
    ):
        path = "/submission/applications/66f0c2a4e1b2c3d4e5f60718"
        await client.http.delete(path, headers={"X-Request-ID": "mine-2"})
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    assert all({"timestamp", "level", "logger", "message"} <= set(entry) for entry in entries)
    [mine] = [entry for entry in entries if entry.get("request_id") == "mine-2"]
    assert mine["application_execution_id"] == "66f0c2a4e1b2c3d4e5f60718"
    assert mine["message"].startswith("admin")
    assert "a-token-of-the-tests" not in service.log.read_text()
