"""Collections and indexes of a database that several services may set up at once.

Each service that starts creates what is missing. Of those that start together on a new database all
find it missing, and MongoDB tells whoever is late that it is there, or that it is just being made.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from common.errors import StartError
from common.loops import BackOff

Json = dict[str, Any]

_NAMESPACE_EXISTS = 48
_OTHERS_ARE_AT_IT = frozenset({_NAMESPACE_EXISTS, 112, 117, 246, 276, 285, 12587})
"""NamespaceExists, WriteConflict, ConflictingOperationInProgress, SnapshotUnavailable, IndexBuildAborted,
IndexBuildAlreadyInProgress, BackgroundOperationInProgressForNamespace."""

_INDEX_DIFFERS = frozenset({85, 86})
"""IndexOptionsConflict, IndexKeySpecsConflict: it is there, and says something else."""

_DUPLICATES = 11000

_ATTEMPTS = 20
_BACK_OFF = BackOff(0.05, 1.0)


async def create_collection(database: AsyncDatabase[Json], name: str) -> None:
    """Create a collection, unless it is there or somebody else does so meanwhile."""

    async def create() -> None:
        # Not `create_collection`: it looks first, and raises another error for what it sees.
        try:
            await database.command("create", name, writeConcern=database.write_concern.document)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise

    await _beside_others(create)


async def create_index(
    collection: AsyncCollection[Json], keys: Sequence[tuple[str, int]], *, name: str, **options: Any
) -> None:
    """Create an index with its collection, unless it is there or somebody else does so meanwhile.

    Raises:
        StartError: There is another index of that name, or what is stored contradicts a unique one.
    """
    try:
        await _beside_others(lambda: collection.create_index(keys, name=name, **options))
    except OperationFailure as error:
        why = _reason(error, options)
        if why is None:
            raise
        raise StartError(
            f"MONGODB_DATABASE: the index {name!r} of {collection.full_name} cannot be created: {why}."
        ) from error


async def create_indexes(collection: AsyncCollection[Json], indexes: Sequence[IndexModel]) -> None:
    """Create what is missing of them at once, which a new database does in one go.

    Raises:
        StartError: As `create_index`.
    """
    if not indexes:
        return
    try:
        await _beside_others(lambda: collection.create_indexes(indexes))
    except OperationFailure as error:
        if error.code not in (*_INDEX_DIFFERS, _DUPLICATES):
            raise
        for index in indexes:  # it was not said which one
            document = dict(index.document)
            keys = list(document.pop("key").items())
            await create_index(collection, keys, name=document.pop("name"), **document)


async def _beside_others(work: Callable[[], Awaitable[Any]]) -> None:
    """Carry out what may meet the same work of another service, and is as good twice."""
    for attempt in range(_ATTEMPTS):
        try:
            await work()
            return
        except OperationFailure as error:
            if error.code not in _OTHERS_ARE_AT_IT or attempt == _ATTEMPTS - 1:
                raise
        # Not all at the same moments: they would meet again.
        await asyncio.sleep(random.random() * _BACK_OFF.seconds(attempt + 1))


def _reason(error: OperationFailure, options: Mapping[str, Any]) -> str | None:
    if error.code in _INDEX_DIFFERS:
        return "there is another one of this name or with these fields; drop it"
    if error.code == _DUPLICATES and options.get("unique"):
        return "documents that exclude each other are stored"
    return None
