"""The end of a service's connections to MongoDB."""

import logging
from pathlib import Path

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
            lock = client._topology._lock
            await lock.acquire()
    assert "not closed within 0.2 s" in caplog.text
    lock.release()
    await client.close()
