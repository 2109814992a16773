"""Several services that start at the same moment, as the pods of the Helm chart do."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from common.mongo.types import Client
from tests.support.samples import unique_name
from tests.support.services import started_service

pytestmark = pytest.mark.service


async def test_three_services_start_together_on_a_new_database(
    tmp_path: Path, mongo_uri: str, mongo: Client
) -> None:
    database = unique_name("together")
    async with AsyncExitStack() as stack:
        services = await asyncio.gather(
            *(
                stack.enter_async_context(
                    started_service(tmp_path / name, MONGODB_ENDPOINT=mongo_uri, MONGODB_DATABASE=database)
                )
                for name in ("one", "two", "three")
            )
        )
        for service in services:
            async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
                assert (await client.get("/submission/applications")).json()["items"] == []
            assert "Traceback" not in service.log.read_text()
    await mongo.drop_database(database)
