"""A service that is gone for good: another one on the same MongoDB says so, and ends what it ran."""

import asyncio
from pathlib import Path

import httpx
import pytest

from app.dashboard.rendering import moments
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.samples import execution, unique_name
from tests.support.services import started_service

pytestmark = pytest.mark.service


async def test_what_a_killed_service_ran_is_told_and_ended_elsewhere(
    tmp_path: Path, mongo_uri: str, mongo: Client
) -> None:
    database = unique_name("lost")
    shared = {"MONGODB_ENDPOINT": mongo_uri, "MONGODB_DATABASE": database}
    executions = ExecutionRepository(mongo, database)
    async with (
        started_service(tmp_path / "one", **shared) as one,
        started_service(tmp_path / "two", **shared) as two,
        httpx.AsyncClient(base_url=two.url, timeout=60) as client,
    ):
        running = execution()
        running.runner = f"local/{(tmp_path / 'one' / 'instance').read_text()}"
        await executions.insert(running)
        await executions.record_state(running.id, ApplicationState.RUNNING)
        path = f"/submission/applications/{running.id}"

        refused, log = await asyncio.gather(client.delete(path), client.get(f"{path}/logs"))
        assert (refused.status_code, log.status_code) == (409, 404)
        for answer in (refused, log):
            assert one.url in answer.json()["detail"]
            assert running.runner in answer.json()["detail"]
        assert (await client.get(path)).json()["notes"] == []

        await one.kill()
        [note] = (await client.get(path)).json()["notes"]
        assert f"{one.url} on " in note
        assert "last seen" in note
        page = (await client.get(f"/ui/applications/{running.id}")).text
        assert moments(note) in page  # its time as a page writes it
        ended = (await client.delete(path)).json()
        assert ended["state"] == "KILLED"
        assert "last seen" in ended["state_reason"]
        assert "not known" in ended["state_reason"]
