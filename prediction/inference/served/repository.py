"""Models that are served, in MongoDB."""

from collections.abc import Iterable
from typing import Any

from pymongo import AsyncMongoClient, ReturnDocument

from common.errors import Conflict, NotFound
from common.mongo.collection import NEWEST, DocumentCollection
from common.mongo.document import utc_now
from prediction.inference.served.documents import ServedModel, ServingOptions


class ModelNotServed(NotFound):
    title = "This model is not served"


class ModelEnded(Conflict):
    """Somebody has ended it, and so it stays until somebody serves it again."""

    title = "This model is served no more"

    def __init__(self, served: ServedModel) -> None:
        by = f" by {served.ended_by}" if served.ended_by else ""
        super().__init__(
            f"{served.model} was ended{by} at {served.ended_at:%Y-%m-%d %H:%M:%S} UTC;"
            f" PUT /serving/{served.model} serves it again."
        )


_SERVED = {"ended_at": None}
"""Also of documents that have no such field."""


class ServedModelRepository:
    """Safe with several services on one database; none of its methods but `find_ended` tells of a model that
    was ended."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._read = DocumentCollection(client, database, "served_model", ServedModel, [NEWEST])

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def find(self, model: str) -> ServedModel | None:
        """Raises UnreadableDocument."""
        found = await self._read.find(model)
        return found if found is not None and found.ended_at is None else None

    async def find_ended(self, model: str) -> ServedModel | None:
        """A model that was served, and was ended. Raises UnreadableDocument."""
        found = await self._read.find(model)
        return found if found is not None and found.ended_at is not None else None

    async def get(self, model: str) -> ServedModel:
        """Raises ModelNotServed or UnreadableDocument."""
        found = await self._read.find(model)
        if found is not None and found.ended_at is not None:
            raise ModelNotServed(str(ModelEnded(found)))
        if found is None:
            raise ModelNotServed(f"{model[:300]!r} is not served; PUT /serving/{model[:300]} serves it.")
        return found

    async def many(self, models: Iterable[str]) -> dict[str, ServedModel]:
        """Those of these names that are served."""
        cursor = self._read.stored.find({"_id": {"$in": list(models)}, **_SERVED})
        return {each.model: each for each in await self._read.many(cursor)}

    async def all(self, *, after: str | None, limit: int) -> list[ServedModel]:
        """By name, from the one after `after` on."""
        query = _SERVED if after is None else {"_id": {"$gt": after}, **_SERVED}
        return await self._read.page(self._read.stored.find(query).sort("_id"), limit)

    async def put(self, model: str, options: ServingOptions, by: str | None) -> ServedModel:
        """Serve it so from now on, also where it was ended."""
        now = utc_now()
        document = await self._read.stored.find_one_and_update(
            {"_id": model},
            {
                "$set": {
                    "options": options.model_dump(),
                    "updated_at": now,
                    "by": by,
                    "ended_at": None,
                    "ended_by": None,
                },
                "$setOnInsert": {"created_at": now},
                "$inc": {"revision": 1},
            },
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert document is not None, "an upsert returns the document"
        return self._read.one(document)

    async def put_defaults(self, model: str, by: str | None) -> ServedModel:
        """Serve it with defaults where it never was served. Raises ModelEnded."""
        now = utc_now()
        fresh = ServedModel(model=model, by=by, created_at=now, updated_at=now).to_mongo()
        document = await self._read.stored.find_one_and_update(
            {"_id": model}, {"$setOnInsert": fresh}, upsert=True, return_document=ReturnDocument.AFTER
        )
        assert document is not None, "an upsert returns the document"
        stored = self._read.one(document)
        if stored.ended_at is not None:
            raise ModelEnded(stored)
        return stored

    async def note_good(self, model: str, version: int) -> None:
        """Remember which version has come to answer."""
        changed = {"_id": model, "last_good": {"$ne": version}}
        await self._read.stored.update_one(changed, {"$set": {"last_good": version}})

    async def end(self, model: str, by: str | None) -> bool:
        """Serve it no more, until somebody says so again; whether it was served."""
        now = utc_now()
        ended = await self._read.stored.update_one(
            {"_id": model, **_SERVED},
            {"$set": {"ended_at": now, "ended_by": by, "updated_at": now}, "$inc": {"revision": 1}},
        )
        return bool(ended.modified_count)
