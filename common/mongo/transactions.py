"""MongoDB transactions: bounded in time, durable, and tried again where two first writes met."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

DURABLE = WriteConcern(w="majority", j=True)
"""What is acknowledged is in a majority's journal: it survives a kill right after the answer."""

_TRANSACTION_SECONDS = 10.0
"""For clients without a `timeoutMS`."""

_ATTEMPTS = 5

Result = TypeVar("Result")


def timeout_seconds(client: AsyncMongoClient[dict[str, Any]]) -> float:
    """For which a transaction is tried."""
    return client.options.timeout or _TRANSACTION_SECONDS


async def in_transaction(
    client: AsyncMongoClient[dict[str, Any]], work: Callable[[AsyncClientSession], Awaitable[Result]]
) -> Result:
    """Everything that `work` does with its session is stored, or nothing.

    `work` may run more than once. A duplicate key is one reason for that: the document that two
    callers wanted to insert first is there at the next attempt.

    Raises:
        DuplicateKeyError: Still, after several attempts.
        pymongo.errors.PyMongoError: Nothing is stored, or the outcome is unknown.
    """
    # A transaction is tried again for two minutes where its time as a whole is not limited.
    with pymongo.timeout(timeout_seconds(client)):
        async with client.start_session() as session:
            for attempt in range(_ATTEMPTS):
                try:
                    return await session.with_transaction(
                        work, read_concern=ReadConcern("snapshot"), write_concern=DURABLE
                    )
                except DuplicateKeyError:
                    if attempt == _ATTEMPTS - 1:
                        raise
            raise AssertionError("the loop above returns or raises")
