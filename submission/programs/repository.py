"""Runs of programs in MongoDB."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient, ReturnDocument

from common.errors import Conflict, NotFound
from common.mongo.collection import DocumentCollection, Index
from common.mongo.document import utc_now
from common.mongo.stored import Readable
from common.processes.guarded import service_identity
from submission.programs.documents import Json, Output, ProgramRun

_LEASE = timedelta(minutes=15)
"""Longer than a thousand files take to a slow store."""

_OF_AN_ATTEMPT = ProgramRun.model_fields.keys() - {
    "id",
    "workspace",
    "created_at",
    "attempt",
    "has_parts",
}


class ProgramRunNotFound(NotFound):
    title = "Unknown run of a program"


class Superseded(Conflict):
    title = "Another start of the driver has taken over"


class ProgramRunRepository:
    """Safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        self._read = DocumentCollection(
            client,
            database,
            "program_run",
            ProgramRun,
            [
                Index("unpublished", ["created_at"], {"partialFilterExpression": {"unpublished": True}}),
                Index("parts", ["created_at"], {"partialFilterExpression": {"has_parts": True}}),
            ],
        )
        self._runs = self._read.stored
        self._owner = service_identity()

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def find(self, application_execution_id: str) -> ProgramRun | None:
        """None: its launcher has not been heard of."""
        return await self._read.find(application_execution_id)

    async def many(self, application_execution_ids: Sequence[str]) -> dict[str, ProgramRun]:
        """By application execution id, without curves; those that are not there, or not readable, are left
        out."""
        query = {"_id": {"$in": list(application_execution_ids)}}
        found = await self._read.many(self._runs.find(query, {"curve": 0}))
        return {run.id: run for run in found}

    async def start(self, application_execution_id: str, workspace: str, parent: int | None) -> ProgramRun:
        """A new attempt; whatever an earlier one had reported is forgotten."""
        fresh = ProgramRun(id=application_execution_id, workspace=workspace, parent_version=parent)
        fields = {name: value for name, value in fresh.to_mongo().items() if name in _OF_AN_ATTEMPT}
        fields |= {"started_at": utc_now(), "heard_at": utc_now()}
        document = await self._runs.find_one_and_update(
            {"_id": application_execution_id},
            {
                "$set": fields,
                "$inc": {"attempt": 1},
                "$setOnInsert": {"workspace": workspace, "created_at": fresh.created_at},
            },
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert document is not None, "an upsert returns the document"
        return self._read.one(document)

    async def of_attempt(self, application_execution_id: str, attempt: int) -> ProgramRun:
        """The run, for who speaks for it. Raises ProgramRunNotFound or Superseded."""
        run = await self.find(application_execution_id)
        if run is None:
            raise ProgramRunNotFound(
                f"Nothing is known of a program's run {application_execution_id[:100]!r}."
            )
        if run.attempt != attempt:
            raise Superseded(f"{run.id}: start {attempt} of its driver was followed by start {run.attempt}.")
        return run

    async def change(self, run: ProgramRun, fields: Mapping[str, Any]) -> None:
        """Set fields of the attempt, as it was read: reports come one after another. Raises Superseded."""
        key = {"_id": run.id, "attempt": run.attempt}
        result = await self._runs.update_one(key, {"$set": dict(fields)})
        if result.matched_count == 0:
            raise Superseded(f"{run.id}: its driver was started again.")

    async def describe_output(self, run: ProgramRun, output: Output) -> None:
        """Store what is going to be sent. Raises Superseded."""
        await self.change(run, {"output": output.model_dump(), "has_parts": True})

    async def complete_output(self, run: ProgramRun, *, unpublished: bool) -> None:
        """Store that all of it has come. Raises Superseded."""
        fields = {"output.completed_at": utc_now(), "unpublished": unpublished, "exit_code": 0}
        await self.change(run, fields)

    async def with_parts(self, started_before: datetime) -> AsyncIterator[ProgramRun]:
        """Runs with parts in the store, that were first started before then, without what is in them."""
        query = {"has_parts": True, "created_at": {"$lt": started_before}}
        async for document in self._runs.find(query, {"curve": 0, "output.files.parts": 0}):
            if (run := self._read.maybe(document)) is not None:
                yield run

    async def record_discarded(self, run: ProgramRun) -> None:
        """Store that its parts are gone."""
        key = {"_id": run.id, "attempt": run.attempt}
        fields: Json = {"has_parts": False}
        if run.output is not None:
            fields["output.discarded_at"] = utc_now()
        await self._runs.update_one(key, {"$set": fields})

    # --- publishing -----------------------------------------------------------------------------

    async def unpublished(self) -> Readable[ProgramRun]:
        """Runs of whose outputs versions are still to be made, without curves."""
        query = {"unpublished": True}
        return await self._read.many(self._runs.find(query, {"curve": 0}).sort("created_at"))

    async def claim(self, run: ProgramRun) -> bool:
        """Whether it is for this service to publish it now."""
        now = utc_now()
        free = {"$or": [{"publishing_until": None}, {"publishing_until": {"$lt": now}}]}
        result = await self._runs.update_one(
            {"_id": run.id, "attempt": run.attempt, "unpublished": True, **free},
            {"$set": {"publishing_until": now + _LEASE, "publisher": self._owner}},
        )
        return result.modified_count == 1

    async def settle(self, run: ProgramRun, *, version: int | None = None, detail: str = "") -> None:
        """Store what became of an output."""
        fields = {
            "unpublished": False,
            "publishing_until": None,
            "version": version,
            "publishing_detail": detail,
        }
        await self._runs.update_one({"_id": run.id, "attempt": run.attempt}, {"$set": fields})

    async def release(self, run: ProgramRun) -> None:
        """Let another turn, or service, try again."""
        key = {"_id": run.id, "attempt": run.attempt, "publisher": self._owner}
        await self._runs.update_one(key, {"$set": {"publishing_until": None}})
