"""Runs of pipelines in MongoDB."""

from datetime import datetime
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError

from common.errors import NotFound
from common.mongo.collection import NEWEST, DocumentCollection, Index
from common.mongo.stored import Readable
from submission.pipelines.documents import PipelineRun, PipelineState, StepState

Json = dict[str, Any]


class PipelineRunNotFound(NotFound):
    title = "Unknown run of a pipeline"


class PipelineRepository:
    """Safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        running = {"partialFilterExpression": {"state": PipelineState.RUNNING.value}}
        self._read = DocumentCollection(
            client,
            database,
            "pipeline_run",
            PipelineRun,
            [
                NEWEST,
                Index("newest_of_workspace", ["workspace", *NEWEST.fields]),
                Index("running", ["created_at"], running),
                Index("steps", ["steps.key"]),
            ],
        )
        self._runs = self._read.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def insert(self, run: PipelineRun) -> PipelineRun:
        """The stored one: the first of this id."""
        try:
            await self._read.insert(run)
        except DuplicateKeyError:
            return await self.get(run.id)
        return run

    async def find(self, run_id: str) -> PipelineRun | None:
        """None where there is none of this id."""
        return await self._read.find(run_id)

    async def get(self, run_id: str) -> PipelineRun:
        """Raises PipelineRunNotFound."""
        run = await self.find(run_id)
        if run is None:
            raise PipelineRunNotFound(f"There is no run {run_id[:100]!r} of a pipeline.")
        return run

    async def newest(
        self, workspace: str, *, before: tuple[datetime, str] | None, limit: int
    ) -> Readable[PipelineRun]:
        """Of one workspace, the latest first."""
        return await self._read.newest({"workspace": workspace}, before=before, limit=limit, without=())

    async def running(self) -> Readable[PipelineRun]:
        """Those that have not ended, oldest first."""
        query = {"state": PipelineState.RUNNING.value}
        return await self._read.many(self._runs.find(query).sort("created_at"))

    async def find_output(self, key: str) -> str | None:
        """The latest run of a program that has made what this key stands for."""
        done = {"$in": [state.value for state in StepState if state.is_done]}
        query = {"steps": {"$elemMatch": {"key": key, "state": done}}}
        document = await self._runs.find_one(query, {"steps": 1}, sort=[("created_at", -1)])
        for step in (document or {}).get("steps", []):
            if step.get("key") == key:
                return str(step["application_execution_id"])
        return None

    async def request_cancel(self, run_id: str, by: str) -> None:
        """Store who asked first for the end of a run that has not ended; a turn under way starts over.

        Raises:
            PipelineRunNotFound: There is none.
        """
        await self.get(run_id)
        query = {"_id": run_id, "state": PipelineState.RUNNING.value, "cancel_requested_by": None}
        await self._runs.update_one(query, {"$set": {"cancel_requested_by": by}, "$inc": {"revision": 1}})

    async def store(self, run: PipelineRun) -> bool:
        """Store what a turn has changed; false where somebody else has changed it meanwhile."""
        key = {"_id": run.id, "revision": run.revision}
        document = run.model_copy(update={"revision": run.revision + 1}).to_mongo()
        result = await self._runs.replace_one(key, document)
        if result.modified_count:
            run.revision += 1
        return result.modified_count == 1
