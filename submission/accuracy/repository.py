"""How right forecasts were, in MongoDB."""

from collections.abc import Collection

from pymongo import DESCENDING

from common.mongo.collection import DocumentCollection, Index
from common.mongo.types import Client
from submission.accuracy.documents import ObservedAccuracy, RunAccuracy

RUNS = 20
"""Latest runs of a version that its accuracy is told of."""

_INDEXES = [Index("of_model", ["model_key", "-ended_at"])]


class AccuracyRepository:
    """One document for each run and model."""

    def __init__(self, client: Client, database: str) -> None:
        self._read = DocumentCollection(client, database, "run_accuracy", RunAccuracy, _INDEXES)
        self._stored = self._read.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def store(self, found: RunAccuracy) -> None:
        """Replaces what was measured of the same run before."""
        await self._stored.replace_one({"_id": found.id}, found.to_mongo(), upsert=True)

    async def observed(self, model_keys: Collection[str]) -> dict[str, ObservedAccuracy]:
        """Of the latest runs, by model key; without those that made no forecast for a run that completed."""
        found = {}
        for key in model_keys:
            cursor = self._stored.find({"model_key": key}).sort("ended_at", DESCENDING)
            if runs := await self._read.page(cursor, RUNS):
                found[key] = ObservedAccuracy.of(runs)
        return found
