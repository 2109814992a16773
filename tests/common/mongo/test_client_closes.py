"""The end of a service's connections to MongoDB."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import InvalidOperation

from common.mongo import client as module
from common.mongo.client import mongo_client
from common.settings.mongo import MongoSettings


async def test_a_client_is_closed_in_the_end(mongo_uri: str, tmp_path: Path) -> None:
    async with mongo_client(MongoSettings(mongodb_endpoint=mongo_uri), tmp_path) as client:
        assert (await client.admin.command("ping"))["ok"] == 1
    with pytest.raises(InvalidOperation):
        await client.admin.command("ping")


async def test_a_lock_that_nobody_gives_back_holds_no_service_up(
    mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.2)
    with caplog.at_level(logging.WARNING, module.__name__):
        async with mongo_client(MongoSettings(mongodb_endpoint=mongo_uri), tmp_path) as client:
            topology = client._topology
            await topology._lock.acquire()
            waiting = [asyncio.create_task(wait_for_a_server(topology)) for _ in range(3)]
            topology._lock.release()
            await asyncio.sleep(0.05)
            await topology._lock.acquire()  # and nobody releases it
            for task in waiting:
                task.cancel()
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in waiting)
    assert "not closed within 0.2 s" in caplog.text
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(InvalidOperation):
        await client.admin.command("ping")


async def wait_for_a_server(topology: Any) -> None:
    """As an operation does whose caller has gone: the lock is taken again, and not given back."""
    await topology._lock.acquire()
    await topology._condition.wait()
