"""A replica set of three real `mongod`, whose members can be killed, stopped, and started again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from common.mongo.embedded import JOURNAL, mongod_binary
from common.mongo.types import Client
from common.processes.environment import passed_environment
from common.processes.guarded import GuardedProcess, free_port
from tests.support.left_processes import mongod_of

NAME = "rs-tests"


class ReplicaSet:
    """Members by their ports; each has a folder of its own."""

    def __init__(self, folder: Path, members: int) -> None:
        self._folders = {free_port(): folder / f"member{number}" for number in range(members)}
        self._processes: dict[int, GuardedProcess] = {}

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(f'127.0.0.1:{port}' for port in self._folders)}/?replicaSet={NAME}"

    async def start(self, ports: Sequence[int] = ()) -> None:
        """Start members, all where none is named."""
        for port in ports or self._folders:
            folder = self._folders[port]
            folder.mkdir(parents=True, exist_ok=True)
            self._processes[port] = await GuardedProcess.start(
                str(mongod_binary()),
                *("--dbpath", str(folder), "--replSet", NAME, "--port", str(port), "--bind_ip", "127.0.0.1"),
                *("--wiredTigerCacheSizeGB", "0.25", "--wiredTigerEngineConfigString", JOURNAL),
                *("--logpath", str(folder / "mongod.log"), "--nounixsocket"),
                env=passed_environment(),
            )

    async def initiate(self) -> None:
        """Make them a set, in which a member that is gone is noticed after two seconds."""
        members = [{"_id": number, "host": f"127.0.0.1:{port}"} for number, port in enumerate(self._folders)]
        config = {"_id": NAME, "members": members, "settings": {"electionTimeoutMillis": 2000}}
        async with self._direct(next(iter(self._folders))) as client:
            await client.admin.command("replSetInitiate", config)
        await self.primary()

    async def primary(self) -> int:
        """The port of the one that takes writes, once there is one."""
        while True:
            for port, process in self._processes.items():
                if process.returncode is None and (await self._hello(port)).get("isWritablePrimary"):
                    return port
            await asyncio.sleep(0.1)

    async def kill(self, port: int) -> None:
        """As the kernel would."""
        mongod_of(self._folders[port]).kill()
        await self._processes[port].wait()

    async def step_down(self, port: int) -> None:
        async with self._direct(port) as client:
            await client.admin.command({"replSetStepDown": 20, "force": True})

    def suspend(self, port: int) -> None:
        mongod_of(self._folders[port]).suspend()

    def resume(self, port: int) -> None:
        mongod_of(self._folders[port]).resume()

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._processes.values()))

    async def _hello(self, port: int) -> dict[str, Any]:
        try:
            async with self._direct(port) as client:
                return dict(await client.admin.command("hello"))
        except PyMongoError:
            return {}

    @asynccontextmanager
    async def _direct(self, port: int) -> AsyncIterator[Client]:
        client: Client = AsyncMongoClient(
            f"mongodb://127.0.0.1:{port}/?directConnection=true",
            serverSelectionTimeoutMS=10_000,
            timeoutMS=10_000,
        )
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def replica_set(folder: Path, members: int = 3) -> AsyncIterator[ReplicaSet]:
    """A set with a primary; it is stopped in the end."""
    found = ReplicaSet(folder, members)
    try:
        await found.start()
        await found.initiate()
        yield found
    finally:
        await found.stop()
