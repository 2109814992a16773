"""Services that set up a new database at the same moment, and a database that cannot be set up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from common.errors import StartError
from common.executions.repository import ExecutionRepository
from common.models.registry import ModelRegistry
from common.mongo.set_up import create_collection, create_index
from common.mongo.types import Client
from submission.idempotency import SubmissionLedger
from submission.schedules import SubmissionSchedules
from tests.support.samples import unique_name
from training.runs.repository import TrainingRunRepository

SERVICES = 4
COLLECTIONS = 25
ROUNDS = 5
MANY_ROUNDS = pytest.param(50, marks=pytest.mark.long)


@pytest_asyncio.fixture(scope="module")
async def clients(mongo_uri: str) -> AsyncIterator[list[Client]]:
    """Of services of their own, all connected: what they do next, they do at once."""
    opened: list[Client] = [AsyncMongoClient(mongo_uri, tz_aware=True) for _ in range(SERVICES)]
    await asyncio.gather(*(client.admin.command("ping") for client in opened))
    yield opened
    await asyncio.gather(*(client.close() for client in opened))


async def set_up(client: Client, database: str) -> None:
    """As `app.lifespan` does."""
    executions = ExecutionRepository(client, database)
    unused: Any = None
    for part in (
        executions,
        TrainingRunRepository(client, database),
        ModelRegistry(client, database),
        SubmissionLedger(client, database, executions, key_seconds=3600),
        SubmissionSchedules(client, database, executions, unused),
    ):
        await part.create_indexes()


@pytest.mark.parametrize("rounds", [ROUNDS, MANY_ROUNDS])
async def test_services_that_start_together_set_up_one_database(
    clients: list[Client], mongo: Client, rounds: int
) -> None:
    for _ in range(rounds):
        database = unique_name("together")
        try:
            failed = await asyncio.gather(
                *(set_up(client, database) for client in clients), return_exceptions=True
            )
            assert failed == [None] * SERVICES
            assert "submission_answer" in await mongo[database].list_collection_names()
            indexes = await mongo[database]["application_execution"].index_information()
            assert {"history", "newest", "newest_by_state", "one_with_this_name"} <= set(indexes)
        finally:
            await mongo.drop_database(database)


async def test_who_is_late_with_a_collection_finds_it(
    clients: list[Client], mongo: Client, database: str
) -> None:
    for number in range(COLLECTIONS):
        failed = await asyncio.gather(
            *(create_collection(client[database], f"c{number}") for client in clients), return_exceptions=True
        )
        assert failed == [None] * SERVICES
        await create_collection(mongo[database], f"c{number}")
    assert len(await mongo[database].list_collection_names()) == COLLECTIONS
    await mongo.drop_database(database)


async def test_another_index_of_the_same_name_is_named(mongo: Client, database: str) -> None:
    collection = mongo[database]["model"]
    await collection.create_index([("other", 1)], name="algorithm")
    with pytest.raises(StartError, match=r"MONGODB_DATABASE.*'algorithm'.*another one"):
        await ModelRegistry(mongo, database).create_indexes()
    await mongo.drop_database(database)


async def test_documents_that_contradict_a_unique_index_are_named(mongo: Client, database: str) -> None:
    collection = mongo[database]["model_version"]
    await collection.insert_many([{"_id": "a/1", "artifact_key": "k"}, {"_id": "a/2", "artifact_key": "k"}])
    with pytest.raises(StartError, match="exclude each other"):
        await create_index(collection, [("artifact_key", 1)], unique=True, name="artifact")
    await mongo.drop_database(database)
