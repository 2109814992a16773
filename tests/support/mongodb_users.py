"""A real MongoDB that controls access, with users."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from common.mongo.embedded import JOURNAL, mongod_binary
from common.mongo.types import Client
from common.processes.environment import passed_environment
from common.processes.guarded import GuardedProcess, free_port

PASSWORD = "hunter2"
_ADMIN = "root"


@asynccontextmanager
async def mongod_with_users(folder: Path, database: str, roles: Mapping[str, str]) -> AsyncIterator[str]:
    """A replica set of one node; its address.

    Args:
        roles: In the database, by the user's name. All have the same password.
    """
    folder.mkdir(parents=True)
    key, port = folder / "key", free_port()
    key.write_text("c2VjcmV0c2VjcmV0")  # members of a set know each other by it
    key.chmod(0o600)
    process = await GuardedProcess.start(
        str(mongod_binary()),
        *("--dbpath", str(folder), "--replSet", "rs0", "--port", str(port), "--bind_ip", "127.0.0.1"),
        *("--wiredTigerCacheSizeGB", "0.25", "--wiredTigerEngineConfigString", JOURNAL),
        *("--logpath", str(folder / "mongod.log"), "--nounixsocket", "--keyFile", str(key)),
        env=passed_environment(),
    )
    try:
        await _create_users(f"127.0.0.1:{port}", database, roles)
        yield f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"
    finally:
        await process.stop()


async def _create_users(address: str, database: str, roles: Mapping[str, str]) -> None:
    uri = f"mongodb://{address}/?directConnection=true"
    async with AsyncMongoClient(uri, serverSelectionTimeoutMS=20_000) as client:
        members = [{"_id": 0, "host": address}]
        await client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        await _primary(client)
        # Of a MongoDB that has no users, whoever is on its machine may create the first one.
        await client.admin.command("createUser", _ADMIN, pwd=PASSWORD, roles=["root"])
    async with AsyncMongoClient(uri, username=_ADMIN, password=PASSWORD) as client:
        for name, role in roles.items():
            granted = [{"role": role, "db": database}]
            await client.admin.command("createUser", name, pwd=PASSWORD, roles=granted)


async def _primary(client: Client) -> None:
    while True:
        try:
            if (await client.admin.command("hello")).get("isWritablePrimary"):
                return
        except PyMongoError:
            pass
        await asyncio.sleep(0.05)
