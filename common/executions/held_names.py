"""Names that executions hold as long as they go on, and whose turn it is of a schedule."""

from contextlib import suppress
from typing import Any

from pymongo import ASCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from common.executions.contradictions import silent_since
from common.executions.documents import ApplicationExecution, ApplicationState
from common.mongo.collection import DocumentCollection, text

Json = dict[str, Any]

FINAL_STATES = [state.value for state in ApplicationState if state.is_final]


def not_over() -> Json:
    """Of those that have not ended, and those whose driver reports although they have."""
    reports = {"contradicted_at": {"$gt": silent_since()}, "stop_reason": None}
    # Versions before this one did not say which driver it was.
    by_one = {**reports, "contradicted_by": {"$ne": None}, "contradiction_over": {"$ne": True}}
    by_any = {**reports, "contradicted_by": None, "reported_end_time": None}
    return {"$or": [{"state": {"$nin": FINAL_STATES}}, by_one, by_any]}


class HeldNames:
    """Queries over what has not ended, and over what has failed while its driver goes on."""

    _read: DocumentCollection[ApplicationExecution]
    _applications: AsyncCollection[Json]

    async def find_named(
        self, name: str, session: AsyncClientSession | None = None
    ) -> ApplicationExecution | None:
        """The one with this name that has not ended, or whose driver reports although it has failed."""
        query = {"held_name": text(name), **not_over()}
        document = await self._applications.find_one(query, session=session)
        return self._read.one(document) if document else None

    async def release_silent(self, name: str, session: AsyncClientSession | None = None) -> None:
        """Free a name that is held by what has failed, and whose driver has not reported for long."""
        query = {"held_name": text(name), "$nor": [not_over()]}
        await self._applications.update_one(query, {"$unset": {"held_name": ""}}, session=session)

    async def record_driver_ended(self, application_execution_id: str, reason: str) -> None:
        """A driver that a failed state ruled out was ended, for a reason: it holds no name any more."""
        change = {"$set": {"stop_reason": reason}, "$unset": {"held_name": ""}}
        await self._applications.update_one({"_id": application_execution_id}, change)

    async def active_of_schedule(self, schedule_name: str) -> list[str]:
        """Ids of those that have not ended, or have failed while their driver reports, oldest first."""
        query = {"schedule_name": text(schedule_name), **not_over()}
        cursor = self._applications.find(query, {"_id": 1}).sort("created_at", ASCENDING)
        return [document["_id"] async for document in cursor]

    async def _hold_again(self, execution: ApplicationExecution) -> None:
        """Where its driver reports although it has failed."""
        if not (execution.driver_reports and execution.released_name and execution.held_name is None):
            return
        query = {"_id": execution.id, "held_name": None}
        with suppress(DuplicateKeyError):  # somebody else has it by now
            await self._applications.update_one(query, {"$set": {"held_name": execution.released_name}})
