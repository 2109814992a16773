"""What people do with workspaces: files by their content in the artifact store, what there is in MongoDB.

A file's content is an artifact under its checksum, written before anything refers to it: what is told of
a workspace is always there, in the store that is configured, and the same content is stored once.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import IO

from common.clocks import monotonic_seconds
from common.errors import PayloadTooLarge, Unavailable
from common.models.artifacts import ArtifactDamaged, ArtifactStore
from common.workspaces.archives import Bounds, read_archive
from common.workspaces.documents import Quota, Snapshot, StoredFile, Workspace, snapshot_id
from common.workspaces.garbage import GRACE_SECONDS
from common.workspaces.packing import pack
from common.workspaces.paths import check_path, check_tree
from common.workspaces.repository import FileNotInWorkspace, Precondition, WorkspaceRepository

_ARCHIVES_AT_ONCE = 2
"""That are unpacked: each may come to WORKSPACE_MAX_BYTES of memory."""

_WRITES_AT_ONCE = 3
"""Of one change: HDFS carries out four operations at once, and somebody may wait for a model."""

_CONTENT = "content"
"""Name of the one file that such an artifact holds."""


class FileTooLarge(PayloadTooLarge):
    title = "The file is too large"


class Workspaces:
    """Files and snapshots; who may do what is asked before."""

    def __init__(self, stored: WorkspaceRepository, store: ArtifactStore) -> None:
        self.stored = stored
        self._store = store
        self._unpacking = asyncio.Semaphore(_ARCHIVES_AT_ONCE)

    @property
    def quota(self) -> Quota:
        return self.stored.quota

    async def put(
        self,
        workspace: str,
        path: str,
        content: bytes,
        by: str | None,
        *,
        precondition: Precondition | None = None,
    ) -> Workspace:
        """Create a file, or replace it.

        Raises:
            InvalidPath, FileTooLarge, QuotaExceeded, FileInTheWay, WorkspaceNotFound: Nothing was changed.
            StoreUnavailable: Nothing was changed.
            And what the precondition raises.
        """
        return await self._put(workspace, {check_path(path): content}, by, precondition=precondition)

    async def upload(
        self,
        workspace: str,
        archive: bytes,
        by: str | None,
        *,
        folder: str = "",
        replace: bool = False,
        precondition: Precondition | None = None,
    ) -> Workspace:
        """Put what an archive holds, all or nothing.

        Args:
            folder: Where to; empty: the workspace itself.
            replace: Remove what lies there and is not in the archive.
        Raises:
            InvalidArchive, ArchiveTooLarge, and what `put` raises: Nothing was changed.
        """
        folder = check_path(folder) if folder else ""
        bounds = Bounds(self.quota.files, self.quota.size_bytes, self.quota.file_bytes)
        async with self._unpacking:
            found = await asyncio.to_thread(read_archive, archive, bounds)
            files = {check_path(f"{folder}/{path}" if folder else path): data for path, data in found.items()}
            others = folder if replace else None
            return await self._put(workspace, files, by, all_others_in=others, precondition=precondition)

    async def read(self, workspace: str, path: str) -> bytes:
        """Raises FileNotInWorkspace, ArtifactDamaged or StoreUnavailable."""
        return await self.content(workspace, await self.stored.file(workspace, check_path(path)))

    async def content(self, workspace: str, file: StoredFile) -> bytes:
        """What a file holds, or held when a snapshot was made. Raises ArtifactDamaged or StoreUnavailable."""
        content = (await self._store.read(await self._key(workspace, file.sha256))).get(_CONTENT, b"")
        if await asyncio.to_thread(_sha256, content) != file.sha256:
            raise ArtifactDamaged(f"{workspace}: the content of {file.path!r} is not what was stored.")
        return content

    async def pack(self, workspace: str, files: Sequence[StoredFile]) -> IO[bytes]:
        """Files of now or of a snapshot as a ZIP, open at its beginning. Raises what `content` raises."""

        async def content(file: StoredFile) -> bytes:
            return await self.content(workspace, file)

        return await pack(files, content)

    async def remove(
        self, workspace: str, path: str, by: str | None, *, precondition: Precondition | None = None
    ) -> Workspace:
        """Remove a file, or a folder with all that lies in it.

        Raises:
            FileNotInWorkspace: There is none.
            And what the precondition raises: nothing was changed.
        """
        path = check_path(path)
        below = [each.path for each in await self.stored.files(workspace, folder=path)]
        if not below:
            await self.stored.file(workspace, path)
        return await self.stored.change(
            workspace, [], by=by, remove=[path, *below], precondition=precondition
        )

    async def take_snapshot(self, workspace: str, by: str | None, *, folder: str = "") -> Snapshot:
        """What a folder holds now; of the same files there is one snapshot, however often it is taken.

        Raises:
            FileNotInWorkspace: It holds nothing.
        """
        return await self.stored.keep(await self.look_at(workspace, by, folder=folder))

    async def look_at(self, workspace: str, by: str | None, *, folder: str = "") -> Snapshot:
        """The snapshot that `take_snapshot` would take; nothing is stored.

        Raises:
            FileNotInWorkspace: It holds nothing.
        """
        folder = check_path(folder) if folder else ""
        found = await self.stored.files_at_once(workspace, folder)
        if not found:
            raise FileNotInWorkspace(f"There is no file in {folder or workspace!r}.")
        below = len(folder) + 1 if folder else 0
        files = [
            StoredFile(path=each.path[below:], sha256=each.sha256, size_bytes=each.size_bytes)
            for each in found
        ]
        return await self._snapshot_of(workspace, folder, files, by)

    async def keep_snapshot(
        self, workspace: str, folder: str, files: list[StoredFile], by: str | None
    ) -> Snapshot:
        """A snapshot of these files, which are of a folder as it is, or was. Raises WorkspaceNotFound."""
        return await self.stored.keep(await self._snapshot_of(workspace, folder, files, by))

    async def _snapshot_of(
        self, workspace: str, folder: str, files: list[StoredFile], by: str | None
    ) -> Snapshot:
        made = snapshot_id(await self.stored.get(workspace), folder, files)
        return Snapshot(id=made, workspace=workspace, folder=folder, files=files, created_by=by)

    async def keep_made_snapshot(
        self, workspace: str, files: list[StoredFile], made: Mapping[str, bytes], by: str | None
    ) -> Snapshot:
        """A snapshot of files that the workspace has, at whatever paths, and of others that are made for it.

        Raises:
            WorkspaceNotFound, Unavailable, StoreUnavailable: It is not kept.
        """
        await self.stored.get(workspace)
        described = await asyncio.to_thread(_described, made)
        await self._keep_contents(workspace, {file.sha256: made[file.path] for file in described})
        return await self.keep_snapshot(workspace, "", [*files, *described], by)

    async def _keep_contents(self, workspace: str, contents: Mapping[str, bytes]) -> None:
        """Contents that something refers to soon. Raises Unavailable where that took too long."""
        began = monotonic_seconds()
        await self.stored.marks.take_away(workspace, contents)
        await self._keep(workspace, contents)
        if monotonic_seconds() - began > GRACE_SECONDS / 2:
            raise Unavailable("Storing the files took so long that the first may be gone again.")

    async def _put(
        self,
        workspace: str,
        files: Mapping[str, bytes],
        by: str | None,
        *,
        all_others_in: str | None = None,
        precondition: Precondition | None = None,
    ) -> Workspace:
        check_tree(list(files))
        for path, content in files.items():
            if len(content) > self.quota.file_bytes:
                raise FileTooLarge(f"{path!r}: a file holds at most {self.quota.file_bytes:,} bytes.")
        await self.stored.get(workspace)  # before its contents are written
        put = await asyncio.to_thread(_described, files)
        await self._keep_contents(workspace, {file.sha256: files[file.path] for file in put})
        return await self.stored.change(
            workspace, put, by=by, all_others_in=all_others_in, precondition=precondition
        )

    async def _keep(self, workspace: str, contents: Mapping[str, bytes]) -> None:
        """Raises StoreUnavailable or ArtifactDamaged."""
        slots = asyncio.Semaphore(_WRITES_AT_ONCE)

        async def keep(sha256: str, content: bytes) -> None:
            async with slots:
                await self._store.keep(await self._key(workspace, sha256), {_CONTENT: content})

        await asyncio.gather(*(keep(sha256, content) for sha256, content in contents.items()))

    async def _key(self, workspace: str, sha256: str) -> str:
        return f"{await self.stored.root()}/{workspace}/{sha256}"


def _described(files: Mapping[str, bytes]) -> list[StoredFile]:
    return [
        StoredFile(path=path, sha256=_sha256(content), size_bytes=len(content))
        for path, content in files.items()
    ]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
