"""Environments in MongoDB: what is stored is the truth about a build."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, AsyncMongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError

from common.errors import Conflict, NotFound
from common.mongo.collection import NEWEST, DocumentCollection, Index
from common.mongo.document import utc_now
from common.mongo.stored import Readable, UnreadableDocument
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.log import BuildLog

_LARGE = {"log": 0}
"""Not part of `Environment`."""

_INDEXES = [
    Index("queue", ["state", "queued_at"]),
    Index("least_recently_used", ["state", "last_used_at"]),
    NEWEST,
]


class EnvironmentNotFound(NotFound):
    title = "Unknown environment"


class EnvironmentRepository:
    """Queue, builds and their logs; safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._read = DocumentCollection(client, database, "program_environment", Environment, _INDEXES)
        self.stored = self._read.stored

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        await self._read.create_indexes()

    async def get(self, environment_id: str) -> Environment:
        """Raises EnvironmentNotFound or UnreadableDocument."""
        document = await self.stored.find_one({"_id": environment_id}, _LARGE)
        if document is None:
            raise EnvironmentNotFound(f"There is no environment {environment_id[:100]!r}.")
        return self._read.one(document)

    async def read_log(self, environment_id: str) -> str:
        """What its last build wrote, at most 200 KB. Raises EnvironmentNotFound."""
        document = await self.stored.find_one({"_id": environment_id}, {"log": 1})
        if document is None:
            raise EnvironmentNotFound(f"There is no environment {environment_id[:100]!r}.")
        return str(document.get("log") or "")

    async def newest(
        self,
        *,
        state: EnvironmentState | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> Readable[Environment]:
        """Newest first, without parts and logs; `before`: (created_at, id) of the last one already seen."""
        query = {} if state is None else {"state": state.value}
        without = ["log", "log_tail", "parts", "written"]
        return await self._read.newest(query, before=before, limit=limit, without=without)

    async def many(self, query: Mapping[str, Any], order: str | None = None) -> Readable[Environment]:
        """Those that a query finds, without logs; by a field, the least first."""
        cursor = self.stored.find(query, _LARGE)
        return await self._read.many(cursor.sort(order, ASCENDING) if order else cursor)

    async def store(self, environment: Environment) -> Environment:
        """The environment of this id, used now; this one where there was none."""
        while True:
            document = await self.stored.find_one_and_update(
                {"_id": environment.id},
                {"$max": {"last_used_at": utc_now()}},
                projection=_LARGE,
                return_document=ReturnDocument.AFTER,
            )
            if document is not None:
                return self._read.one(document)
            try:
                await self._read.insert(environment)
            except DuplicateKeyError:  # of two that asked at once
                continue
            return environment

    async def mark_used(self, environment_id: str) -> None:
        """Keep it for another while; one that is not there any more is no error."""
        await self.stored.update_one({"_id": environment_id}, {"$max": {"last_used_at": utc_now()}})

    async def queue(self, environment_id: str, states: Sequence[EnvironmentState]) -> Environment:
        """Queue it for another build if it is in one of these states; it is returned as it is then."""
        now = utc_now()
        fields: dict[str, Any] = {
            "state": EnvironmentState.WAITING.value,
            "state_reason": "",
            "queued_at": now,
            "last_used_at": now,
            "attempts": 0,
            "parts": [],
            **dict.fromkeys(("owner", "started_at", "ended_at", "size_bytes", "sha256")),
        }
        wanted = {"_id": environment_id, "state": {"$in": [state.value for state in states]}}
        await self.stored.update_one(wanted, {"$set": fields})
        return await self.get(environment_id)

    async def claim(self, owner: str, python_version: str, platform: str) -> Environment | None:
        """Take the one that has waited longest and can be built here; no other service can take it too.

        One that cannot be read has failed, and nothing is taken this time.
        """
        now = utc_now()
        build = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
        fields = {
            "state": EnvironmentState.BUILDING.value,
            "state_reason": "",
            "owner": owner,
            "build": build,
            "started_at": now,
            "heartbeat_at": now,
            "ended_at": None,
            "parts": [],
            "packages": [],
            "log": "",
            "log_tail": "",
        }
        document = await self.stored.find_one_and_update(
            {
                "state": EnvironmentState.WAITING.value,
                "python_version": python_version,
                "platform": platform,
            },
            {"$set": fields, "$inc": {"attempts": 1}, "$push": {"written": build}},
            projection=_LARGE,
            sort=[("queued_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return None
        try:
            return self._read.one(document)
        except UnreadableDocument as error:
            failed = {"state": EnvironmentState.FAILED.value, "state_reason": str(error)[:1000]}
            await self.stored.update_one({"_id": document["_id"], "build": build}, {"$set": failed})
            return None

    async def beat(self, environment: Environment, log: BuildLog | None) -> bool:
        """A sign of life, with the log where it has grown; False where the build is somebody else's now."""
        return await self._update(environment, {"heartbeat_at": utc_now(), **_log(log)})

    async def finish(
        self, environment: Environment, state: EnvironmentState, log: BuildLog | None, **fields: Any
    ) -> bool:
        """Leave BUILDING; False, and nothing is stored, where the build is somebody else's now."""
        now = utc_now()
        ended = {"state": state.value, "ended_at": now, "last_used_at": now, **_log(log), **fields}
        if state is EnvironmentState.WAITING:
            ended |= {"owner": None, "ended_at": None}
        return await self._update(environment, ended)

    async def mark_damaged(self, environment: Environment, reason: str) -> None:
        """A READY one whose packed file is not what was stored has failed."""
        wanted = {"_id": environment.id, "build": environment.build, "state": EnvironmentState.READY.value}
        failed = {"state": EnvironmentState.FAILED.value, "state_reason": reason[:1000], "parts": []}
        await self.stored.update_one(wanted, {"$set": failed})

    async def _update(self, environment: Environment, fields: Mapping[str, Any]) -> bool:
        own = {
            "_id": environment.id,
            "owner": environment.owner,
            "build": environment.build,
            "state": EnvironmentState.BUILDING.value,
        }
        return (await self.stored.update_one(own, {"$set": dict(fields)})).matched_count == 1


def refuse_unless_failed(environment: Environment) -> None:
    """Raises Conflict."""
    if environment.state not in (EnvironmentState.FAILED, EnvironmentState.EVICTED):
        raise Conflict(
            f"Environment {environment.id} is {environment.state.value}; only what has FAILED, or was"
            " EVICTED, is built again."
        )


def _log(log: BuildLog | None) -> dict[str, str]:
    return {} if log is None else {"log": log.text, "log_tail": log.tail}
