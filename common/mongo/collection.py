"""A collection as every repository holds one: durable, read leniently, paged, with its indexes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from common.mongo.document import Document
from common.mongo.set_up import create_indexes
from common.mongo.stored import Json, Readable, Reader, T
from common.mongo.transactions import DURABLE


@dataclass(frozen=True)
class Index:
    """An index by its name, its fields (a `-` before those that descend) and MongoDB's options."""

    name: str
    fields: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> list[tuple[str, int]]:
        """As pymongo wants them."""
        return [
            (each.removeprefix("-"), DESCENDING if each.startswith("-") else ASCENDING)
            for each in self.fields
        ]


IS_TEXT: Json = {"$type": "string"}
"""Of an index of texts alone, which `text` and `one_of_texts` ask along."""


def text(value: str) -> Json:
    """What a query asks of a field that equals a text; MongoDB 6.0 sees no text in what equals one."""
    return {"$eq": value, **IS_TEXT}


def one_of_texts(values: Sequence[str]) -> Json:
    """The same of one of several."""
    return {"$in": values, **IS_TEXT}


NEWEST = Index("newest", ["-created_at", "-_id"])
"""What `DocumentCollection.newest` reads along."""


class DocumentCollection(Reader[T]):
    """Documents of one model. What a repository does beyond this it does with `stored`, pymongo's own."""

    def __init__(
        self,
        client: AsyncMongoClient[Json],
        database: str,
        name: str,
        model: type[T],
        indexes: Sequence[Index] = (),
    ) -> None:
        self.stored = client.get_database(database, write_concern=DURABLE)[name]
        super().__init__(model, self.stored)
        self._indexes = indexes

    async def create_indexes(self) -> None:
        """Create what is missing, also beside other services. Raises StartError where one contradicts."""
        await create_indexes(
            self.stored, [IndexModel(index.keys, name=index.name, **index.options) for index in self._indexes]
        )

    async def find(self, document_id: str, session: AsyncClientSession | None = None) -> T | None:
        """None where there is none of this id. Raises UnreadableDocument."""
        document = await self.stored.find_one({"_id": document_id}, session=session)
        return self.one(document) if document else None

    async def insert(self, document: Document, session: AsyncClientSession | None = None) -> None:
        """Raises DuplicateKeyError where its id, or what is unique beside it, is there."""
        await self.stored.insert_one(document.to_mongo(), session=session)

    async def newest(
        self, query: Json, *, before: tuple[datetime, str] | None, limit: int, without: Sequence[str]
    ) -> Readable[T]:
        """A page by time of creation, the latest first.

        Args:
            query: Which ones.
            before: Time of creation and id of the last one already seen; None: from the latest on.
            limit: How many at most; 0: all.
            without: Fields that are too large for a list.
        """
        if before is not None:
            created_at, last_id = before
            older = {"created_at": {"$lt": created_at}}
            as_old = {"created_at": created_at, "_id": {"$lt": last_id}}
            query = {"$and": [query, {"$or": [older, as_old]}]}
        order = [("created_at", DESCENDING), ("_id", DESCENDING)]
        return await self.page(self.stored.find(query, dict.fromkeys(without, 0)).sort(order), limit)

    async def count_states(self) -> dict[str, int]:
        """State to number of documents; those without one are `NEW`."""
        # Sorted, the index of states is all that MongoDB has to look at.
        by_state: list[Json] = [{"$sort": {"state": 1}}, {"$group": {"_id": "$state", "count": {"$sum": 1}}}]
        found = await self.stored.aggregate(by_state)
        return {str(group["_id"] or "NEW"): group["count"] async for group in found}
