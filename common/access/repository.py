"""Tokens in MongoDB: the queries of this domain, all of them."""

from datetime import datetime
from typing import Any

from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from common.access.documents import AccessToken, StoredToken
from common.auth import Role
from common.errors import Conflict, NotFound
from common.mongo.collection import IS_TEXT, NEWEST, DocumentCollection, Index, one_of_texts, text
from common.mongo.document import utc_now
from common.mongo.set_up import create_collection
from common.mongo.stored import Readable
from common.mongo.transactions import in_transaction

Json = dict[str, Any]


class TokenNotFound(NotFound):
    title = "Unknown token"


class TokenNameInUse(Conflict):
    title = "There is a token of this name"


class LastAdminToken(Conflict):
    title = "Nobody could make tokens any more"


_OF_TOKENS = [
    NEWEST,
    Index(
        "one_with_this_name",
        ["held_name"],
        {"unique": True, "partialFilterExpression": {"held_name": IS_TEXT}},
    ),
    Index(
        "of_execution",
        ["application_execution_id"],
        {"partialFilterExpression": {"application_execution_id": IS_TEXT}},
    ),
]

_PEOPLE: Json = {"role": {"$ne": Role.LISTENER.value}}


class AccessTokenRepository:
    """Tokens of people, and of listeners."""

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        self._client = client
        self._read = DocumentCollection(client, database, "access_token", StoredToken, _OF_TOKENS)
        self._tokens = self._read.stored
        self._turns = client[database]["access_turn"]

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await create_collection(self._turns.database, self._turns.name)
        await self._read.create_indexes()

    async def insert(self, token: StoredToken) -> None:
        """Raises TokenNameInUse where a token that counts has its name."""
        if token.held_name is not None:
            expired = {"held_name": text(token.held_name), "expires_at": {"$lte": utc_now()}}
            await self._tokens.update_one(expired, {"$set": {"held_name": None}})
        try:
            await self._read.insert(token)
        except DuplicateKeyError as error:
            raise TokenNameInUse(
                f"A token {token.name!r} is there and not revoked: choose another name, or revoke that one."
            ) from error

    async def find(self, token_id: str) -> StoredToken | None:
        """None where there is none."""
        return await self._read.find(token_id)

    async def get(self, token_id: str) -> AccessToken:
        """Raises TokenNotFound."""
        return _found(token_id, await self.find(token_id))

    async def newest(self, *, before: tuple[datetime, str] | None, limit: int) -> Readable[StoredToken]:
        """Tokens of people, the latest first, without their hashes."""
        return await self._read.newest(_PEOPLE, before=before, limit=limit, without="secret_sha256")

    async def has_admin(self, session: AsyncClientSession | None = None) -> bool:
        """Whether a token of an admin counts now."""
        query = {"role": Role.ADMIN.value, "revoked_at": None}
        live = {"$or": [{"expires_at": None}, {"expires_at": {"$gt": utc_now()}}]}
        return await self._tokens.find_one({**query, **live}, {"_id": 1}, session=session) is not None

    async def revoke(self, token_id: str, by: str, *, needs_admin: bool) -> AccessToken:
        """Let a token count no more; one that is revoked already stays as it is.

        Args:
            needs_admin: Whether another admin's token has to be left.
        Raises:
            TokenNotFound: There is none of this id.
            LastAdminToken: It was the last one.
        """
        revoked = {"revoked_at": utc_now(), "revoked_by": by, "held_name": None}

        async def work(session: AsyncClientSession) -> AccessToken:
            # Two at once would each see the other's token: they take turns.
            await self._turns.update_one(
                {"_id": "revoke"}, {"$inc": {"turn": 1}}, upsert=True, session=session
            )
            document = await self._tokens.find_one_and_update(
                {"_id": token_id, "revoked_at": None},
                {"$set": revoked},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if document is None:
                return _found(token_id, await self._read.find(token_id, session))
            token = self._read.one(document)
            if needs_admin and token.role is Role.ADMIN and not await self.has_admin(session):
                raise LastAdminToken(
                    "This is the last token of an admin: make another one first (POST /access/tokens),"
                    " or set ADMIN_TOKEN."
                )
            return token

        return await in_transaction(self._client, work)

    async def used(self, token_id: str, at: datetime) -> None:
        """Note that it was shown."""
        await self._tokens.update_one({"_id": token_id}, {"$max": {"last_used_at": at}})

    async def executions_with_tokens(self) -> list[str]:
        """Ids of the application executions that listeners have tokens for."""
        return [str(each) for each in await self._tokens.distinct("application_execution_id") if each]

    async def delete_of(self, application_execution_ids: list[str]) -> None:
        """Delete what listeners of these have shown."""
        await self._tokens.delete_many({"application_execution_id": one_of_texts(application_execution_ids)})


def _found(token_id: str, token: AccessToken | None) -> AccessToken:
    if token is None:
        raise TokenNotFound(f"There is no token {token_id[:100]!r}.")
    return token
