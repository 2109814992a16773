"""Which contents are about to be collected: marks in MongoDB that who stores the same content takes away."""

import asyncio
import contextlib
import uuid
from collections.abc import Collection
from typing import Any

from pydantic import Field
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError

from common.errors import Unavailable
from common.mongo.collection import DocumentCollection, Index
from common.mongo.document import Document
from common.mongo.stored import Readable

Json = dict[str, Any]

_LOOKS = 20
_LOOK_SECONDS = 0.25


class Mark(Document):
    """Content that nothing referred to when somebody looked."""

    id: str = Field(alias="_id")
    """Workspace and checksum, with a slash between them."""
    workspace: str
    sha256: str
    made: str
    """Tells this mark from another one of the same content, earlier or later."""
    claim: str | None = None
    """Of who deletes the content now; null: nobody."""


class ContentMarks:
    """Marks of one database; safe with several services."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        self._read = DocumentCollection(
            client, database, "workspace_garbage", Mark, [Index("of_workspace", ["workspace"])]
        )

    async def create_indexes(self) -> None:
        await self._read.create_indexes()

    async def of(self, workspace: str) -> Readable[Mark]:
        return await self._read.many(self._read.stored.find({"workspace": workspace}))

    async def mark_only(self, workspace: str, loose: Collection[str]) -> None:
        """Mark contents by their checksums, and take the marks of others away; claims stay."""
        others = {"workspace": workspace, "sha256": {"$nin": list(loose)}, "claim": None}
        await self._read.stored.delete_many(others)
        marked = {mark.sha256 for mark in await self.of(workspace)}
        for sha256 in set(loose) - marked:
            mark = Mark(id=_id(workspace, sha256), workspace=workspace, sha256=sha256, made=uuid.uuid4().hex)
            with contextlib.suppress(DuplicateKeyError):  # another service has just done so
                await self._read.insert(mark)

    async def claim(self, mark: Mark) -> bool:
        """Say that its content is being deleted; False where the mark or its claim is another one now."""
        unchanged = {"_id": mark.id, "made": mark.made, "claim": mark.claim}
        found = await self._read.stored.find_one_and_update(
            unchanged, {"$set": {"claim": uuid.uuid4().hex}}, return_document=ReturnDocument.AFTER
        )
        return found is not None

    async def remove(self, mark: Mark) -> None:
        """After its content was deleted, or was found to be referred to."""
        await self._read.stored.delete_one({"_id": mark.id})

    async def take_away(self, workspace: str, sha256: Collection[str]) -> None:
        """Before contents are stored: what is there is not collected within `garbage.GRACE_SECONDS`.

        Raises:
            Unavailable: One of them is being deleted.
        """
        wanted = {"_id": {"$in": [_id(workspace, each) for each in sha256]}}
        for _ in range(_LOOKS):
            await self._read.stored.delete_many({**wanted, "claim": None})
            if await self._read.stored.find_one(wanted, {"_id": 1}) is None:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        raise Unavailable("The same content, which nothing referred to any more, is being removed right now.")


def _id(workspace: str, sha256: str) -> str:
    return f"{workspace}/{sha256}"
