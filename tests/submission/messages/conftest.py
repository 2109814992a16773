"""A broker for all tests of messages, and services on the database of each."""

from collections.abc import AsyncIterator
from functools import partialmethod
from pathlib import Path

import pytest
import pytest_asyncio
from faststream.kafka import KafkaBroker

from common.mongo.types import Client
from common.processes.guarded import free_port
from submission.manifest.options import ManifestOptions
from tests.support.kafka import Topics, tansu
from tests.support.messages import MessageServices
from tests.support.samples import unique_name


@pytest_asyncio.fixture(scope="session")
async def broker_address() -> AsyncIterator[str]:
    async with tansu(free_port()) as address:
        yield address


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker lets who begins a group wait for others: as long as its session, and 5 s at most.

    What is to be told is looked for more often, too.
    """
    short = partialmethod(KafkaBroker.subscriber, session_timeout_ms=1000, heartbeat_interval_ms=250)
    monkeypatch.setattr(KafkaBroker, "subscriber", short)
    monkeypatch.setattr("submission.messages.replies._TURN_SECONDS", 0.2)
    monkeypatch.setattr("submission.messages.logs._TURN_SECONDS", 0.2)


@pytest.fixture
def topics(broker_address: str) -> Topics:
    """A topic for requests of the test's own, and those beside it."""
    return Topics(broker_address, unique_name("enel"))


@pytest.fixture
def services(mongo: Client, database: str, tmp_path: Path, options: ManifestOptions) -> MessageServices:
    return MessageServices(mongo, database, tmp_path, options)
