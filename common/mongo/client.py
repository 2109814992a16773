"""The MongoDB behind the service: the configured one, or an embedded replica set of one node."""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from common.errors import StartError
from common.mongo.embedded import embedded_mongod
from common.mongo.rights import lacking_rights
from common.mongo.types import Client
from common.settings.mongo import MongoSettings

logger = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0
_MOST_WAITERS = 10_000
"""Turns of the event loop: each lets one task go on that waits for a lock."""


@asynccontextmanager
async def mongo_client(settings: MongoSettings, data_dir: Path) -> AsyncIterator[Client]:
    """A client that is known to work: a writable primary with transactions answers.

    Raises:
        StartError: The configured MongoDB cannot be used, or the embedded one does not start.
    """
    async with contextlib.AsyncExitStack() as stack:
        if settings.mongodb_endpoint:
            client = await _configured(settings)
        else:
            uri = await stack.enter_async_context(
                embedded_mongod(data_dir / "mongodb", on_unexpected_end=_stop_service)
            )
            client = _connect(uri, settings.mongodb_timeout_seconds)
        stack.push_async_callback(_close, client)
        if settings.mongodb_endpoint:
            await _check(client, settings)
        yield client


async def _close(client: Client) -> None:
    """Close a client, also where the lock of its topology is taken by nobody.

    An operation that is cancelled while it waits for a server can leave it so (PyMongo 4.20 on Python 3.11:
    `asyncio.wait_for` is left before the condition inside it has taken the lock again). Closing takes that
    lock, and so do waiters that are cancelled, however often: a service that has lost its MongoDB would never
    end.
    """
    for _ in range(2):
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await client.close()
                return
        except TimeoutError:
            logger.warning("Connections to MongoDB were not closed within %g s", _CLOSE_SECONDS)
            await _give_back_lock(client)


async def _give_back_lock(client: Client) -> None:
    """Release the lock of a client's topology until no task takes it any more."""
    lock = client._topology._lock
    for _ in range(_MOST_WAITERS):
        if lock.locked():
            lock.release()
        await asyncio.sleep(0)


def _connect(uri: str, timeout_seconds: float, **options: Any) -> Client:
    milliseconds = int(timeout_seconds * 1000)
    return AsyncMongoClient(
        uri,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        # Bounds whole operations with their retries, transactions included, where nothing else does.
        timeoutMS=milliseconds,
        appname="enel-service",
        tz_aware=True,
        # What Python cannot hold (a time after the year 9999, a text that is none) is one document's
        # trouble, and not that of every other one in the same answer.
        datetime_conversion="DATETIME_AUTO",
        unicode_decode_error_handler="replace",
        **options,
    )


async def _configured(settings: MongoSettings) -> Client:
    options: dict[str, Any] = {}
    if settings.mongodb_username:
        options["username"] = settings.mongodb_username
        options["password"] = settings.mongodb_password.get_secret_value()
    host = settings.mongodb_endpoint
    try:
        if "://" in host:
            return _connect(host, settings.mongodb_timeout_seconds, **options)
        return _connect(
            f"mongodb://{host}:{settings.mongodb_port}", settings.mongodb_timeout_seconds, **options
        )
    except (InvalidURI, ConfigurationError, ValueError, TypeError) as error:
        # The address may carry a password: it is not repeated, and neither is the driver's message.
        raise StartError(
            f"MONGODB_ENDPOINT: not an address of a MongoDB ({type(error).__name__})."
        ) from error
    except OSError as error:  # also what the ssl module raises: the address names files
        reason = "holds no certificates" if isinstance(error, ssl.SSLError) else str(error.strerror)
        raise StartError(f"MONGODB_ENDPOINT: a file that it names cannot be used: {reason}.") from error


async def _check(client: Client, settings: MongoSettings) -> None:
    where = "MONGODB_ENDPOINT: the MongoDB there"
    if "://" not in settings.mongodb_endpoint:
        where += f" (port {settings.mongodb_port})"
    try:
        hello = await client.admin.command("hello")
        await client[settings.mongodb_database].command("ping")
        # What comes later needs rights; better to learn of it now.
        await client[settings.mongodb_database]["application_execution"].find_one({}, {"_id": 1})
        lacking = await lacking_rights(client, settings.mongodb_database)
    except OperationFailure as error:
        reason = (error.details or {}).get("codeName", "no reason given")
        raise StartError(f"{where} refuses the user of MONGODB_USERNAME: {reason}.") from error
    except ConfigurationError as error:  # of its name in the DNS, or a package that is missing
        raise StartError(f"{where} cannot be found, or not with these options.") from error
    except ServerSelectionTimeoutError as error:
        raise StartError(
            f"{where} cannot be reached within {settings.mongodb_timeout_seconds:g} s "
            "(MONGODB_TIMEOUT_SECONDS). Unset MONGODB_ENDPOINT to use the embedded MongoDB."
        ) from error
    except PyMongoError as error:
        raise StartError(f"{where} cannot be used: {type(error).__name__}.") from error
    if lacking:
        raise StartError(
            f"{where} does not let the user of MONGODB_USERNAME do what the service needs in the database of "
            f"MONGODB_DATABASE: {', '.join(lacking)}. The role readWrite has that."
        )
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StartError(f"{where} is not part of a replica set, which transactions need.")
    if not hello.get("isWritablePrimary"):
        raise StartError(f"{where} is no writable primary; name its replica set in the address.")


def _stop_service(code: int, why: str) -> None:
    """Nothing can be stored any more; whatever supervises the service starts it anew."""
    logger.critical("The embedded MongoDB has ended (exit code %d): the service stops. %s", code, why)
    os.kill(os.getpid(), signal.SIGTERM)
