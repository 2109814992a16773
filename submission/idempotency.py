"""A submission that is sent twice: one application, and the first answer again.

Two things say that a submission was sent before: its idempotency key, for a day (see
`SubmissionSettings`), and its name, as long as an application of that name has not ended. Key, name,
application execution and the decision about its first scale-out are stored in one transaction, and
unique indexes decide between services that try the same at once.
"""

from datetime import timedelta
from typing import Any

from pydantic import Field
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession

from common.errors import Conflict, ServiceError
from common.executions.documents import ApplicationExecution, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.mongo.collection import DocumentCollection, Index
from common.mongo.document import Document, UtcTime, utc_now
from common.mongo.set_up import create_collection
from common.mongo.transactions import in_transaction

Json = dict[str, Any]


class IdempotencyKeyReused(ServiceError):
    status, title = 422, "The idempotency key belongs to another request"


class NameInUse(Conflict):
    title = "The name belongs to an application that has not ended"


class SubmissionKey(Document):
    """Which application execution a key stands for, until it expires."""

    id: str = Field(alias="_id")
    fingerprint: str
    application_execution_id: str
    expires_at: UtcTime


class SubmissionAnswer(Document):
    """What a submission with a key or a name was answered."""

    id: str = Field(alias="_id")
    """The application execution id."""
    fingerprint: str
    response: Json | None = None
    """The platform's; None until it is known."""
    created_at: UtcTime = Field(default_factory=utc_now)


_OF_KEYS = [
    Index("expiry", ["expires_at"], {"expireAfterSeconds": 0}),
    Index("execution", ["application_execution_id"]),
]


class SubmissionLedger:
    """Keys and answers in MongoDB, beside the executions that they belong to."""

    def __init__(
        self,
        client: AsyncMongoClient[Json],
        database: str,
        executions: ExecutionRepository,
        *,
        key_seconds: float,
    ) -> None:
        """`key_seconds` is how long a key is remembered."""
        self._client = client
        self._executions = executions
        self._read_key = DocumentCollection(client, database, "submission_key", SubmissionKey, _OF_KEYS)
        self._read_answer = DocumentCollection(client, database, "submission_answer", SubmissionAnswer)
        self._keys = self._read_key.stored
        self._answers = self._read_answer.stored
        self._lifetime = timedelta(seconds=key_seconds)

    async def create_indexes(self) -> None:
        """Create both collections, so that no transaction has to.

        Two transactions that meet then conflict over a key, and never over who creates its collection.
        """
        await create_collection(self._answers.database, self._answers.name)
        await self._read_key.create_indexes()

    async def find(
        self,
        key: str | None,
        name: str | None,
        fingerprint: str,
        session: AsyncClientSession | None = None,
    ) -> str | None:
        """Id of the application execution that was submitted with this key or name.

        Raises:
            IdempotencyKeyReused: By a request that said something else.
            NameInUse: The same for the name.
        """
        known = await self._read_key.find(key, session) if key is not None else None
        if known is not None and known.expires_at > utc_now():  # MongoDB removes expired ones once a minute
            if known.fingerprint != fingerprint:
                raise IdempotencyKeyReused(
                    f"The key was sent before with another request, which became the application"
                    f" execution {known.application_execution_id}."
                )
            return known.application_execution_id
        if name is not None and (holder := await self._executions.find_named(name, session)):
            if holder.driver_reports:
                raise NameInUse(
                    f"{name!r} is the name of the application execution {holder.id}, which is {holder.state},"
                    " and whose driver reports all the same: end it, or wait until it has."
                )
            document = await self._answers.find_one({"_id": holder.id}, {"fingerprint": 1}, session=session)
            if document is not None and document.get("fingerprint") != fingerprint:
                raise NameInUse(
                    f"{name!r} is the name of the application execution {holder.id}, which was requested"
                    " differently and has not ended."
                )
            return holder.id
        return None

    async def store(
        self,
        execution: ApplicationExecution,
        decision: ScalingDecision,
        *,
        key: str | None,
        fingerprint: str,
    ) -> str:
        """Store a new execution with what belongs to it, unless its key or name is taken.

        Returns:
            Its id, or that of the execution that was there first.
        Raises:
            IdempotencyKeyReused, NameInUse: As `find` does.
        """

        async def work(session: AsyncClientSession) -> str:
            there = await self.find(key, execution.name, fingerprint, session)
            if there is None:
                await self._hold(execution.held_name, session)
                await self._executions.insert(execution, session)
                await self._executions.insert_decision(decision, session)
                if key is not None or execution.name is not None:
                    answer = SubmissionAnswer(id=execution.id, fingerprint=fingerprint)
                    await self._answers.insert_one(answer.to_mongo(), session=session)
            if key is not None:
                await self._remember(key, fingerprint, there or execution.id, session)
            return there or execution.id

        return await in_transaction(self._client, work)

    async def answered(self, application_execution_id: str, response: Json) -> None:
        """Store what the platform answered."""
        await self._answers.update_one({"_id": application_execution_id}, {"$set": {"response": response}})

    async def find_answer(self, application_execution_id: str) -> SubmissionAnswer | None:
        document = await self._answers.find_one({"_id": application_execution_id})
        return self._read_answer.maybe(document)

    async def release(self, key: str, application_execution_id: str) -> None:
        """Forget a key whose application no platform took, so that the request may be sent again."""
        await self._keys.delete_one({"_id": key, "application_execution_id": application_execution_id})

    async def release_all(self, application_execution_id: str) -> None:
        """The same of whatever key stands for an application."""
        await self._keys.delete_many({"application_execution_id": application_execution_id})

    async def _hold(self, name: str | None, session: AsyncClientSession) -> None:
        """Raises NameInUse where somebody else holds it; the unique index decides between two at once."""
        if name is None:
            return
        await self._executions.release_silent(name, session)
        if holder := await self._executions.find_named(name, session):
            raise NameInUse(f"The application execution {holder.id} has not ended.")

    async def _remember(
        self, key: str, fingerprint: str, application_execution_id: str, session: AsyncClientSession
    ) -> None:
        now = utc_now()
        await self._keys.delete_one({"_id": key, "expires_at": {"$lte": now}}, session=session)
        known = SubmissionKey(
            id=key,
            fingerprint=fingerprint,
            application_execution_id=application_execution_id,
            expires_at=now + self._lifetime,
        )
        # Where it is there already, it stands for the same execution: `find` was asked a moment ago.
        await self._keys.update_one(
            {"_id": key}, {"$setOnInsert": known.model_dump(exclude={"id"})}, upsert=True, session=session
        )
