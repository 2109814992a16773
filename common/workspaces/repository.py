"""Workspaces in MongoDB: what belongs together changes in one transaction."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field
from pymongo import ASCENDING, AsyncMongoClient, ReplaceOne, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from common.errors import Conflict, NotFound, PayloadTooLarge
from common.mongo.collection import NEWEST, DocumentCollection, Index
from common.mongo.document import Document, utc_now
from common.mongo.stored import Readable
from common.mongo.transactions import in_transaction
from common.workspaces.documents import (
    EVERYBODY,
    Quota,
    Snapshot,
    StoredFile,
    Workspace,
    WorkspaceFile,
    file_id,
)
from common.workspaces.marks import ContentMarks

Json = dict[str, Any]

_ROOT = "workspaces"
_PLACE = "place"

Precondition = Callable[[Workspace, Mapping[str, str]], None]
"""Looks at a workspace, and at checksums by path, as they are in the moment of a change: storing contents
takes minutes, in which somebody may lose a right. What it raises, the change raises."""


class WorkspaceNotFound(NotFound):
    title = "Unknown workspace"


class WorkspaceExists(Conflict):
    title = "There is a workspace of this name"


class FileNotInWorkspace(NotFound):
    title = "Unknown file"


class SnapshotNotFound(NotFound):
    title = "Unknown snapshot"


class QuotaExceeded(PayloadTooLarge):
    title = "The workspace is full"


class FileInTheWay(Conflict):
    title = "One would be a file and a folder"


class Place(Document):
    """What tells this database's folder in the store from those of others."""

    id: str = Field(alias="_id")
    name: str


class WorkspaceRepository:
    """Workspaces, their files and snapshots; safe with several services on one database."""

    def __init__(self, client: AsyncMongoClient[Json], database: str, quota: Quota) -> None:
        self.quota = quota
        self._client = client
        self._read = DocumentCollection(client, database, "workspace", Workspace, [NEWEST])
        self._read_file = DocumentCollection(
            client, database, "workspace_file", WorkspaceFile, [Index("of_workspace", ["workspace", "path"])]
        )
        self._read_snapshot = DocumentCollection(
            client,
            database,
            "workspace_snapshot",
            Snapshot,
            [
                Index("of_workspace", ["workspace", *NEWEST.fields]),
                Index("of_content", ["workspace", "files.sha256"]),
            ],
        )
        self._place = DocumentCollection(client, database, "workspace_place", Place)
        self._root = ""
        self.marks = ContentMarks(client, database)

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        for each in (self._read, self._read_file, self._read_snapshot, self.marks):
            await each.create_indexes()

    async def root(self) -> str:
        """Where in the artifact store contents lie: not where those of another database do.

        Two services on one HDFS, each with a MongoDB of its own, may have workspaces of the same name.
        """
        if not self._root:
            await self._place.stored.update_one(
                {"_id": _PLACE}, {"$setOnInsert": {"name": uuid.uuid4().hex[:12]}}, upsert=True
            )
            place = await self._place.find(_PLACE)
            assert place is not None, "it was stored just now"
            self._root = f"{_ROOT}/{place.name}"
        return self._root

    # --- workspaces -----------------------------------------------------------------------------

    async def create(self, workspace: Workspace) -> None:
        """Raises WorkspaceExists."""
        try:
            await self._read.insert(workspace)
        except DuplicateKeyError as error:
            raise WorkspaceExists(f"A workspace {workspace.name!r} is there already.") from error

    async def get(self, name: str, session: AsyncClientSession | None = None) -> Workspace:
        """Raises WorkspaceNotFound."""
        found = await self._read.find(name, session)
        if found is None:
            raise WorkspaceNotFound(f"There is no workspace {name[:100]!r}.")
        return found

    async def newest(
        self, *, before: tuple[datetime, str] | None, limit: int, readable_by: str | None = None
    ) -> Readable[Workspace]:
        """By time of creation, the latest first.

        Args:
            readable_by: Only those that this one, who is no operator, may read; None: all.
        """
        query: Json = {}
        if readable_by is not None:
            names = {"$in": [readable_by, EVERYBODY]}
            query = {"$or": [{"owner": readable_by}, {"runners": names}, {"readers": names}]}
        return await self._read.newest(query, before=before, limit=limit, without=())

    async def set_members(self, name: str, runners: Sequence[str], readers: Sequence[str]) -> Workspace:
        """Raises WorkspaceNotFound."""
        members = {"runners": list(runners), "readers": list(readers)}
        changed = await self._read.stored.find_one_and_update(
            {"_id": name}, {"$set": members}, return_document=ReturnDocument.AFTER
        )
        return self._read.one(changed) if changed else await self.get(name)

    async def delete(self, name: str) -> None:
        """With its files; snapshots stay, and what ran can still be had. Raises WorkspaceNotFound."""

        async def work(session: AsyncClientSession) -> None:
            await self.get(name, session)
            await self._read.stored.delete_one({"_id": name}, session=session)
            await self._read_file.stored.delete_many({"workspace": name}, session=session)

        await in_transaction(self._client, work)

    # --- files ----------------------------------------------------------------------------------

    async def files(
        self, workspace: str, *, folder: str = "", after: str | None = None, limit: int = 0
    ) -> Readable[WorkspaceFile]:
        """By path.

        Args:
            folder: Only those below it; empty: all.
            after: The last path already seen.
            limit: Most to return; 0 for all.
        """
        query = _below(workspace, folder)
        if after is not None:
            query = {"$and": [query, {"path": {"$gt": after}}]}
        return await self._read_file.page(self._read_file.stored.find(query).sort("path", ASCENDING), limit)

    async def file(self, workspace: str, path: str) -> WorkspaceFile:
        """Raises FileNotInWorkspace."""
        found = await self._read_file.find(file_id(workspace, path))
        if found is None:
            raise FileNotInWorkspace(f"There is no file {path[:100]!r} in {workspace!r}.")
        return found

    async def change(
        self,
        workspace: str,
        put: Sequence[StoredFile],
        *,
        by: str | None,
        remove: Sequence[str] = (),
        all_others_in: str | None = None,
        precondition: Precondition | None = None,
    ) -> Workspace:
        """Put files and remove others, all or none; returns the workspace as it is afterwards.

        Args:
            remove: Paths; what is not there is no error.
            all_others_in: A folder (empty: the workspace) of which whatever is not put is removed.
            precondition: What it raises is raised, and nothing was changed.
        Raises:
            WorkspaceNotFound: Nothing was changed.
            QuotaExceeded: Nothing was changed.
            FileInTheWay: Nothing was changed: a path would be a file and a folder.
        """

        async def work(session: AsyncClientSession) -> Workspace:
            present = await self.get(workspace, session)
            stored = self._read_file.stored
            fields = {"path": 1, "size_bytes": 1, "sha256": 1}
            cursor = stored.find({"workspace": workspace}, fields, session=session)
            found = [each async for each in cursor]
            if precondition is not None:
                precondition(present, {each["path"]: each["sha256"] for each in found})
            before = {each["path"]: each["size_bytes"] for each in found}
            wanted = {file.path: file for file in put}
            gone = {path for path in remove if path in before and path not in wanted}
            if all_others_in is not None:
                below = f"{all_others_in}/" if all_others_in else ""
                gone |= {path for path in before if path.startswith(below) and path not in wanted}
            after = {path: size for path, size in before.items() if path not in gone}
            after |= {path: file.size_bytes for path, file in wanted.items()}
            self._check(workspace, after)
            if gone:
                await stored.delete_many(
                    {"_id": {"$in": [file_id(workspace, path) for path in gone]}}, session=session
                )
            if put:
                await stored.bulk_write([_replacing(workspace, file, by) for file in put], session=session)
            # Whoever changes the workspace at the same time meets this one here, and begins anew.
            changed = await self._read.stored.find_one_and_update(
                {"_id": workspace, "revision": present.revision},
                {
                    "$set": {"files": len(after), "size_bytes": sum(after.values()), "changed_at": utc_now()},
                    "$inc": {"revision": 1},
                },
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            assert changed is not None, "a transaction reads what it has read"
            return self._read.one(changed)

        return await in_transaction(self._client, work)

    def _check(self, workspace: str, after: Mapping[str, int]) -> None:
        if len(after) > self.quota.files:
            raise QuotaExceeded(
                f"{workspace!r} would hold {len(after):,} files; {self.quota.files:,} it may."
            )
        if (size := sum(after.values())) > self.quota.size_bytes:
            raise QuotaExceeded(f"{workspace!r} would hold {size:,} bytes; {self.quota.size_bytes:,} it may.")
        for path in after:
            folder = path.rpartition("/")[0]
            while folder:
                if folder in after:
                    raise FileInTheWay(f"{folder!r} is a file, and would be the folder of {path!r}.")
                folder = folder.rpartition("/")[0]

    # --- snapshots ------------------------------------------------------------------------------

    async def files_at_once(self, workspace: str, folder: str) -> list[WorkspaceFile]:
        """Files below a folder (empty: all) as they are at one moment: nobody's change is half in it.

        Raises:
            WorkspaceNotFound: There is none of this name.
            UnreadableDocument: One of them cannot be read, and what is left would be another program.
        """

        async def work(session: AsyncClientSession) -> list[WorkspaceFile]:
            await self.get(workspace, session)
            cursor = self._read_file.stored.find(_below(workspace, folder), session=session)
            return [self._read_file.one(each) async for each in cursor.sort("path", ASCENDING)]

        return await in_transaction(self._client, work)

    async def keep(self, snapshot: Snapshot) -> Snapshot:
        """The stored one: that of the same files, where there was one."""
        document = snapshot.to_mongo()
        stored = self._read_snapshot.stored
        await stored.update_one({"_id": snapshot.id}, {"$setOnInsert": document}, upsert=True)
        return await self.snapshot(snapshot.id)

    async def snapshot(self, snapshot_id: str) -> Snapshot:
        """Raises SnapshotNotFound."""
        found = await self._read_snapshot.find(snapshot_id)
        if found is None:
            raise SnapshotNotFound(f"There is no snapshot {snapshot_id[:100]!r}.")
        return found

    async def referred_to(self, workspace: str, sha256: Collection[str]) -> set[str]:
        """Those of these contents that a file or a snapshot of the workspace has."""
        wanted = list(sha256)
        query: Json = {"workspace": workspace, "sha256": {"$in": wanted}}
        found = set(await self._read_file.stored.distinct("sha256", query))
        of_snapshots = await self._read_snapshot.stored.aggregate(
            [
                {"$match": {"workspace": workspace, "files.sha256": {"$in": list(set(wanted) - found)}}},
                {"$unwind": "$files"},
                {"$group": {"_id": "$files.sha256"}},
            ]
        )
        return (found | {each["_id"] async for each in of_snapshots}) & set(wanted)


def _below(workspace: str, folder: str) -> Json:
    query: Json = {"workspace": workspace}
    if folder:
        query["path"] = {"$gte": f"{folder}/", "$lt": f"{folder}0"}  # 0 is what follows the slash
    return query


def _replacing(workspace: str, file: StoredFile, by: str | None) -> ReplaceOne[Json]:
    document = WorkspaceFile(
        **file.model_dump(), id=file_id(workspace, file.path), workspace=workspace, changed_by=by
    ).to_mongo()
    return ReplaceOne({"_id": document["_id"]}, document, upsert=True)
