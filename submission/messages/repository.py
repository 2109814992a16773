"""Messages in MongoDB."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, AsyncMongoClient
from pymongo.errors import DuplicateKeyError

from common.mongo.collection import NEWEST, DocumentCollection, Index
from common.mongo.document import utc_now
from common.mongo.stored import Readable
from submission.messages.documents import Json, MessageState, TrainingMessage

_LEASE = timedelta(seconds=60)
"""Longer than a broker may take to acknowledge."""


class MessageRepository:
    """Safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        is_open = {"partialFilterExpression": {"open": True}}
        self._read = DocumentCollection(
            client,
            database,
            "training_message",
            TrainingMessage,
            [
                NEWEST,
                Index("newest_of_state", ["state", *NEWEST.fields]),
                Index("open", ["created_at"], is_open),
            ],
        )
        self._messages = self._read.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def find(self, message_id: str) -> TrainingMessage | None:
        """None where there is none of this id."""
        return await self._read.find(message_id)

    async def insert(self, message: TrainingMessage) -> TrainingMessage:
        """The stored one: the first of this id."""
        try:
            await self._read.insert(message)
        except DuplicateKeyError:
            return await self._read.find(message.id) or message
        return message

    async def set_aside(self, message: TrainingMessage) -> TrainingMessage:
        """Store one that starts nothing, in place of what was received; returns the stored one."""
        received = {"_id": message.id, "state": MessageState.RECEIVED.value}
        replaced = await self._messages.replace_one(received, message.to_mongo())
        return message if replaced.matched_count else await self.insert(message)

    async def renew(self, message: TrainingMessage, execution_id: str) -> bool:
        """Choose another run for a message whose first one no platform took; false: somebody else has."""
        return await self._change(
            {"_id": message.id, "execution_id": message.execution_id}, {"execution_id": execution_id}
        )

    async def started(self, message: TrainingMessage, execution_id: str) -> None:
        """It has become this run; from now on its states are sent."""
        fields = {"state": MessageState.STARTED.value, "execution_id": execution_id, "open": True}
        await self._change({"_id": message.id, "state": MessageState.RECEIVED.value}, fields)

    async def forget(self, message: TrainingMessage) -> None:
        """Of one that was refused: sent again with the same id, it is another request."""
        await self._messages.delete_one({"_id": message.id, "state": MessageState.RECEIVED.value})

    async def newest(
        self, state: MessageState | None, *, before: tuple[datetime, str] | None, limit: int
    ) -> Readable[TrainingMessage]:
        """The latest first; None: in whatever state."""
        query: Json = {} if state is None else {"state": state.value}
        return await self._read.newest(query, before=before, limit=limit, without=())

    # --- what is to be sent -----------------------------------------------------------------------------

    async def open(self) -> Readable[TrainingMessage]:
        """Those of which something is to be sent, oldest first."""
        cursor = self._messages.find({"open": True}).sort("created_at", ASCENDING)
        return await self._read.many(cursor)

    async def claim(self, message: TrainingMessage, sender: str) -> bool:
        """Whether it is for this service to send what is next; nobody else does so for a while."""
        return await self._claim(message, sender, "sender", "sending_until")

    async def claim_log(self, message: TrainingMessage, sender: str) -> bool:
        """The same of its run's log."""
        return await self._claim(message, sender, "log_sender", "log_until")

    async def note(self, message: TrainingMessage, fields: Mapping[str, Any]) -> None:
        """Store what the broker has acknowledged."""
        await self._change({"_id": message.id}, fields)

    async def _claim(self, message: TrainingMessage, sender: str, who: str, until: str) -> bool:
        now = utc_now()
        free = {"$or": [{until: None}, {until: {"$lt": now}}, {who: sender}]}
        return await self._change({"_id": message.id, **free}, {who: sender, until: now + _LEASE})

    async def _change(self, query: Json, fields: Mapping[str, Any]) -> bool:
        result = await self._messages.update_one(query, {"$set": dict(fields)})
        return result.matched_count == 1
