"""Files of versions and environments on this machine, from which replicas load: whole, or not there.

They stay, so that a version that has served goes on serving while the store is away. Whenever one is used
again its files are compared with what was published. What was used longest ago makes room for others.
"""

import asyncio
import hashlib
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from common.errors import Unavailable
from common.loops import PASSING_ERRORS
from common.models.artifacts import ArtifactStore, FileInfo
from common.models.versions import ModelVersion, read_version
from common.workspaces.paths import check_path
from prediction.inference.served import entries
from prediction.inference.served.entries import Hold

logger = logging.getLogger(__name__)

_ENVIRONMENT = "environment.pex"


class LocalDiskFailed(Unavailable):
    """This machine's disk is full, or cannot be written to."""

    title = "Files of a version cannot be kept here"


class LocalFilesDamaged(Unavailable):
    """What is on this machine's disk is not what was published, and cannot be fetched again now."""

    title = "Files of a version are damaged here"


class PackedEnvironments(Protocol):
    """Environments as files (`submission.environments`)."""

    async def ensure_built(self, environment_id: str) -> None:
        """Return if it is there; otherwise have it built. Raises Unavailable while it is not there."""
        ...

    def packed(self, environment_id: str) -> AsyncIterator[bytes]:
        """The file, piece by piece. Raises NotFound, Conflict, ArtifactDamaged or StoreUnavailable."""
        ...


class LocalFiles:
    """A folder of entries. Several services may share it."""

    def __init__(
        self,
        folder: Path,
        store: ArtifactStore,
        environments: PackedEnvironments,
        limit_bytes: int,
    ) -> None:
        self._folder = folder
        self._store = store
        self._environments = environments
        self._limit_bytes = limit_bytes
        self._locks: dict[str, asyncio.Lock] = {}

    async def version(self, version: ModelVersion, hold: Hold) -> Path:
        """Folder with a version's files, by their paths.

        Args:
            hold: Until it is released, also while files are on their way, the folder stays.
        Raises:
            ArtifactDamaged, StoreUnavailable: It is not here yet, and the store has it not, or not now.
            LocalFilesDamaged, LocalDiskFailed
        """
        paths = {file.name: check_path(file.path or file.name) for file in version.files}

        async def fill(folder: Path) -> None:
            files = await read_version(self._store, version)
            await asyncio.to_thread(
                entries.write, folder, {paths[name]: data for name, data in files.items()}
            )

        expected = {paths[file.name]: file for file in version.files}
        return await self._entry(_entry_of(version), expected, fill, hold)

    async def environment(self, environment_id: str, hold: Hold) -> Path:
        """The packed environment, an executable file. Raises as `version` and `PackedEnvironments` do."""

        async def fill(folder: Path) -> None:
            await self._environments.ensure_built(environment_id)
            target = folder / _ENVIRONMENT
            digest, size_bytes = hashlib.sha256(), 0
            file = await asyncio.to_thread(target.open, "wb")
            try:
                async for piece in self._environments.packed(environment_id):
                    await asyncio.to_thread(file.write, piece)
                    await asyncio.to_thread(digest.update, piece)
                    size_bytes += len(piece)
            finally:
                await asyncio.to_thread(file.close)
            target.chmod(0o700)
            info = FileInfo(size_bytes=size_bytes, sha256=digest.hexdigest())
            await asyncio.to_thread(entries.note_sums, folder, {_ENVIRONMENT: info})

        return await self._entry(f"environment-{environment_id[:64]}", None, fill, hold) / _ENVIRONMENT

    async def make_room(self) -> list[str]:
        """Remove what was used longest ago and nobody holds, down to the limit; what was removed."""
        return await asyncio.to_thread(entries.make_room, self._folder, self._limit_bytes)

    async def _entry(
        self,
        name: str,
        expected: Mapping[str, FileInfo] | None,
        fill: Callable[[Path], Awaitable[None]],
        hold: Hold,
    ) -> Path:
        """Raises LocalDiskFailed, LocalFilesDamaged, and what `fill` does."""
        entry = self._folder / name
        try:
            await asyncio.to_thread(self._folder.mkdir, 0o700, True, True)
            await asyncio.to_thread(hold.add, entry)
            async with self._locks.setdefault(name, asyncio.Lock()):
                await self._ensure_whole(entry, expected, fill)
        except OSError as error:
            raise LocalDiskFailed(
                f"{self._folder} takes no files now: {error.strerror or error} (SERVING_CACHE_DIR)."
            ) from error
        return entry

    async def _ensure_whole(
        self, entry: Path, expected: Mapping[str, FileInfo] | None, fill: Callable[[Path], Awaitable[None]]
    ) -> None:
        damaged = None
        if await asyncio.to_thread(entry.is_dir):
            damaged = await asyncio.to_thread(entries.difference, entry, expected)
            if damaged is None:
                return
            logger.error("%s is not what was published, and is fetched again", entry / damaged)
        begun = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=entries.BEGUN, dir=self._folder))
        try:
            await fill(begun)
            await asyncio.to_thread(entries.settle, begun, entry, replaces=damaged is not None)
        except PASSING_ERRORS as error:
            if damaged is None:
                raise
            raise LocalFilesDamaged(
                f"{entry / damaged} is not what was published, and cannot be fetched again now: {error}"
            ) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, begun, True)


def _entry_of(version: ModelVersion) -> str:
    digest = hashlib.sha256(f"{version.id} {version.artifact_key}".encode()).hexdigest()
    return f"version-{digest[:32]}"
