"""Predictions, feedback and figures in MongoDB."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING, AsyncMongoClient, ReturnDocument, UpdateOne

from common.errors import Conflict, NotFound
from common.mongo.collection import IS_TEXT, DocumentCollection, Index, one_of_texts
from common.mongo.document import utc_now
from common.mongo.stored import Json, Readable, UnreadableDocument
from common.mongo.transactions import DURABLE
from prediction.inference.records.documents import (
    Feedback,
    PredictionRecord,
    Verdict,
    VersionFigures,
    figures_id,
)

_INDEXES = [
    Index("expiry", ["expires_at"], {"expireAfterSeconds": 0}),
    Index("newest", ["model", "-at", "-_id"]),
    Index(
        "feedback",
        ["model", "-feedback.at"],
        {"partialFilterExpression": {"feedback.at": {"$type": "date"}}},
    ),
    Index(  # what was said is counted from it alone: documents hold images
        "verdicts",
        ["model", "version", "role", "feedback.verdict"],
        {"partialFilterExpression": {"feedback.verdict": IS_TEXT}},
    ),
]

_HAS_FEEDBACK: Json = {"$type": "date"}
_FEEDBACK_KEPT = timedelta(days=730)

_LARGE: Json = {"inputs_json": 0, "files": 0, "answer_json": 0}
"""What takes a thousand times as long to read as the rest, and is not needed to say right or wrong."""


class PredictionNotFound(NotFound):
    title = "Unknown prediction"


class PredictionRepository:
    """Safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._client = client
        self._records = DocumentCollection(client, database, "prediction", PredictionRecord, _INDEXES)
        self._durable = self._records.stored.with_options(write_concern=DURABLE)
        self._figures = DocumentCollection(
            client, database, "prediction_figures", VersionFigures, [Index("model", ["model"])]
        )

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._records.create_indexes()
        await self._figures.create_indexes()

    async def answers(self) -> None:
        """Return if the database does. Raises PyMongoError."""
        await self._client.admin.command("ping")

    async def insert(self, records: Sequence[PredictionRecord]) -> None:
        """Store them, in one request."""
        if records:
            await self._records.stored.insert_many([each.to_mongo() for each in records], ordered=False)

    async def add_figures(self, increments: Mapping[str, Mapping[str, Any]]) -> None:
        """Count.

        Args:
            increments: By `figures_id`: `model`, `version`, `role`, and what to add by the figure's name.
        """
        now = utc_now()
        updates = [_counting(key, each, now) for key, each in increments.items()]
        if updates:
            await self._figures.stored.bulk_write(updates, ordered=False)

    async def get(self, prediction_id: str) -> PredictionRecord:
        """Without what may be large (`_LARGE`). Raises PredictionNotFound or UnreadableDocument."""
        found = await self._records.stored.find_one({"_id": prediction_id}, _LARGE)
        if found is None:
            raise PredictionNotFound(
                f"There is no prediction {prediction_id[:100]!r}: predictions without feedback are forgotten"
                " after a while (SERVING_KEEP_PREDICTIONS_DAYS)."
            )
        return self._records.one(found)

    async def give_feedback(self, model: str, prediction_id: str, feedback: Feedback) -> PredictionRecord:
        """Remember what somebody says; said again, the latest counts. Without what may be large (`_LARGE`).

        Raises:
            PredictionNotFound: There is none.
            Conflict: It is another model's, or a shadow's that nobody has seen.
        """
        # One write: what is right and wrong is counted from these documents, so that it is never twice.
        document = await self._durable.find_one_and_update(
            {"_id": prediction_id, "model": model, "shadow_of": None},
            {"$set": {"feedback": feedback.model_dump(), "expires_at": utc_now() + _FEEDBACK_KEPT}},
            projection=_LARGE,
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            other = await self.get(prediction_id)
            raise Conflict(f"The prediction {other.id} is of {other.model!r}, not of {model[:200]!r}.")
        return self._records.one(document)

    async def figures(self, model: str) -> list[VersionFigures]:
        """Those of all versions, the latest version first."""
        found = await self.figures_of([model])
        return sorted(found, key=lambda each: (-each.version, each.role))

    async def figures_of(self, models: Iterable[str]) -> list[VersionFigures]:
        """Those of several models, with what people have said of them until now."""
        query: Json = {"model": {"$in": list(models)}}
        found = {each.id: each for each in await self._figures.many(self._figures.stored.find(query))}
        async for said in await self._records.stored.aggregate(_said_of(query)):
            of = said["_id"]
            key = figures_id(of["model"], of["version"], of["role"])
            names = {name: of[name] for name in ("model", "version", "role")}
            figures = found.setdefault(key, VersionFigures(id=key, **names))
            setattr(figures, Verdict(of["verdict"]).value, said["count"])
        return list(found.values())

    async def file(self, model: str, prediction_id: str, field: str) -> bytes:
        """What was uploaded for a field. Raises PredictionNotFound where it is not kept."""
        document = await self._records.stored.find_one(
            {"_id": prediction_id, "model": model}, {"files": {"$elemMatch": {"field": field}}}
        )
        files: list[Json] = (document or {}).get("files", [])
        if not files:
            raise PredictionNotFound(
                f"There is no file {field[:100]!r} of a prediction {prediction_id[:100]!r} of this model (any"
                " more)."
            )
        return bytes(files[0]["content"])

    async def each_with_feedback(self, model: str, limit: int) -> AsyncIterator[PredictionRecord]:
        """Those of a model that somebody has said something of, the latest first, one at a time: what was
        uploaded with them may be large. What cannot be read is left out."""
        if limit <= 0:
            return
        cursor = self._records.stored.find({"model": model, "feedback.at": _HAS_FEEDBACK}, batch_size=20)
        async for document in cursor.sort("feedback.at", DESCENDING).limit(limit):
            with contextlib.suppress(UnreadableDocument):
                yield self._records.one(document)

    async def feedback_stamp(self, model: str) -> str:
        """What changes whenever somebody says something of a model's predictions."""
        query: Json = {"model": model, "feedback.at": _HAS_FEEDBACK}
        latest = await self._records.stored.find_one(
            query, {"feedback.at": 1}, sort=[("feedback.at", DESCENDING)]
        )
        if latest is None:
            return "none"
        count = await self._records.stored.count_documents(query)
        return f"{count} until {latest['feedback']['at'].isoformat()}"

    async def newest(
        self, model: str, *, before: tuple[datetime, str] | None, limit: int
    ) -> Readable[PredictionRecord]:
        """A page, the latest first, without what was uploaded.

        Args:
            before: Time and id of the last one already seen.
        """
        query: Json = {"model": model}
        if before is not None:
            at, last_id = before
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": last_id}}]
        cursor = self._records.stored.find(query, {"files.content": 0}).sort(
            [("at", DESCENDING), ("_id", DESCENDING)]
        )
        return await self._records.page(cursor, limit)


def _said_of(query: Json) -> list[Json]:
    """A pipeline that counts verdicts by model, version and role."""
    group = {"model": "$model", "version": "$version", "role": "$role", "verdict": "$feedback.verdict"}
    wanted = {**query, "feedback.verdict": one_of_texts([verdict.value for verdict in Verdict])}
    return [{"$match": wanted}, {"$group": {"_id": group, "count": {"$sum": 1}}}]


def _counting(key: str, said: Mapping[str, Any], now: datetime) -> UpdateOne:
    names = ("model", "version", "role")
    update = {
        "$inc": {name: value for name, value in said.items() if name not in names and value},
        "$setOnInsert": {**{name: said[name] for name in names}, "first_at": now},
        "$set": {"last_at": now},
    }
    return UpdateOne({"_id": key}, {name: fields for name, fields in update.items() if fields}, upsert=True)
