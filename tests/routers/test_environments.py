"""`/environments` over HTTP, and by the command line's client."""

import httpx
import pytest

from app.client.client import AsyncClient
from app.client.problems import ProblemError
from common.mongo.types import Client
from submission.environments.repository import EnvironmentRepository
from tests.support.environments import failed_environment


@pytest.fixture
def repository(service: httpx.AsyncClient, mongo: Client) -> EnvironmentRepository:
    return EnvironmentRepository(mongo, service.database)  # type: ignore[attr-defined]


async def test_lists_are_paged_newest_first(
    service: httpx.AsyncClient, repository: EnvironmentRepository
) -> None:
    made = [await failed_environment(repository) for _ in range(3)]
    async with AsyncClient("http://127.0.0.1", transport=service._transport) as client:
        found = [each["id"] async for each in client.iterate_environments(limit=1, state="FAILED")]
        ready = await client.environments(state="READY")
    assert found[:3] == [each.id for each in reversed(made)]
    assert ready["items"] == []
    assert "leave filters out" in ready["hint"]  # type: ignore[typeddict-item]


async def test_one_with_its_log_and_another_build(
    service: httpx.AsyncClient, repository: EnvironmentRepository
) -> None:
    environment = await failed_environment(repository)
    async with AsyncClient("http://127.0.0.1", transport=service._transport) as client:
        shown = await client.environment(environment.id)
        assert (shown["id"], shown["state"], shown["state_reason"]) == (environment.id, "FAILED", "no index")
        assert shown["log_tail"] == "ERROR: no index"
        assert await client.environment_log(environment.id) == "ERROR: no index\n"
        assert (await client.build_environment(environment.id))["state"] == "WAITING"
        assert (await client.build_environment(environment.id))["state"] == "WAITING"
        ready = {"$set": {"state": "READY"}}
        await repository.stored.update_one({"_id": environment.id}, ready)
        with pytest.raises(ProblemError) as problem:
            await client.build_environment(environment.id)
    assert problem.value.status == 409
