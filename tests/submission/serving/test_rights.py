"""Who may ask a model holds for seconds, and for longer only while the database is away; changes are looked
up each time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from common.auth import Principal, Role
from common.errors import Forbidden, Unavailable
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ProgramOrigin
from common.mongo.embedded import embedded_mongod
from common.mongo.types import Client
from common.workspaces.documents import Workspace
from common.workspaces.repository import Quota, WorkspaceRepository
from common.workspaces.workspaces import Workspaces
from submission.serving.rights import ServingRights
from tests.support.left_processes import mongod_of
from tests.support.registered import publish
from tests.support.samples import unique_name

BOB = Principal("bob", Role.SUBMITTER.permissions, Role.SUBMITTER)


class Place:
    """A workspace with a model, and a clock that is set."""

    def __init__(self, client: Client, folder: Path, process: psutil.Process | None = None) -> None:
        database = unique_name("rights")
        self.process = process
        self.seconds = 0.0
        self.stored = WorkspaceRepository(client, database, Quota(files=10, size_bytes=1000, file_bytes=1000))
        self.registry = ModelRegistry(client, database)
        self.store = FolderStore(folder / "store")
        workspaces = Workspaces(self.stored, self.store)
        self.rights = ServingRights(workspaces, self.registry, lambda: self.seconds)
        self.model = ""

    async def fill(self) -> None:
        await self.stored.create(Workspace(name="team", owner="ada", runners=["bob"], readers=["bob"]))
        origin = ProgramOrigin(workspace="team", folder=".", snapshot_id="s")
        version = await publish(self.registry, self.store, kind="program", program=origin)
        self.model = version.name

    async def let(self, *, read: bool, run: bool) -> None:
        await self.stored.set_members("team", ["bob"] if run else [], ["bob"] if read else [])

    async def may_ask(self) -> bool:
        return await _may(self.rights.check_may_ask(self.model, BOB))

    async def may_serve(self) -> bool:
        return await _may(self.rights.check_may_serve(self.model, BOB))


async def _may(check: Awaitable[None]) -> bool:
    try:
        await check
    except Forbidden:
        return False
    return True


@pytest_asyncio.fixture
async def place(mongo: Client, tmp_path: Path) -> Place:
    place = Place(mongo, tmp_path)
    await place.fill()
    return place


@pytest_asyncio.fixture
async def stoppable(tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "mongod"
    async with embedded_mongod(folder) as uri:
        process = mongod_of(folder)
        client: Client = AsyncMongoClient(uri, tz_aware=True, timeoutMS=1500, serverSelectionTimeoutMS=1500)
        place = Place(client, tmp_path, process)
        await place.fill()
        try:
            yield place
        finally:
            os.kill(process.pid, signal.SIGCONT)
            await client.close()


@pytest.mark.parametrize("pause", [6, 59, 599, 100_000])
async def test_a_right_to_ask_is_some_seconds_old_at_most(place: Place, pause: float) -> None:
    assert await place.may_ask()
    await place.let(read=False, run=False)
    place.seconds += 4
    assert await place.may_ask(), "it is not looked at for each question"
    place.seconds += pause - 4
    assert not any(await asyncio.gather(*(place.may_ask() for _ in range(5))))
    await place.let(read=True, run=False)
    place.seconds += pause
    assert await place.may_ask()


async def test_who_changes_something_is_looked_up_each_time(place: Place) -> None:
    assert await place.may_serve()
    await place.let(read=True, run=False)
    assert not await place.may_serve()
    await place.let(read=True, run=True)
    assert await place.may_serve()


async def test_what_was_known_holds_while_the_database_is_away_but_for_changes(stoppable: Place) -> None:
    place, process = stoppable, stoppable.process
    assert process is not None
    assert await place.may_ask()
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(3):
        place.seconds += 100
        assert await place.may_ask()
    with pytest.raises(Unavailable, match="cannot be known now"):
        await place.may_serve()
    place.seconds += 600
    with pytest.raises(Unavailable, match="cannot be known now"):
        await place.may_ask()
    os.kill(process.pid, signal.SIGCONT)
    await place.let(read=False, run=False)
    place.seconds += 6
    assert not await place.may_ask()
