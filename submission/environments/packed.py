"""Packed files in the store of artifacts, in parts that fit into memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from common.models.artifacts import ArtifactDamaged, ArtifactNotFound, ArtifactStore, verify
from submission.environments.documents import PackedPart

PART_BYTES = 16 << 20

PREFIX = "environments"

_NAME = "part"


class PackedFiles:
    """Parts of builds, below a prefix for each: what one has left never stands in another's way."""

    def __init__(self, store: ArtifactStore, part_bytes: int = PART_BYTES) -> None:
        self._store = store
        self._part_bytes = part_bytes

    async def write(
        self, build: str, packed: Path, written: Callable[[int], Awaitable[None]]
    ) -> tuple[list[PackedPart], str]:
        """Store a file.

        Args:
            written: Told how many bytes are stored, after each part.
        Returns:
            Its parts in order, and its SHA-256.
        Raises:
            StoreUnavailable: Some parts may be stored.
        """
        parts: list[PackedPart] = []
        whole = hashlib.sha256()
        file = await asyncio.to_thread(packed.open, "rb")
        try:
            while content := await asyncio.to_thread(_read, file, self._part_bytes):
                whole.update(content)
                key = f"{PREFIX}/{build}/{len(parts)}"
                await self._store.write(key, {_NAME: content})
                digest = hashlib.sha256(content).hexdigest()
                parts.append(PackedPart(key=key, size_bytes=len(content), sha256=digest))
                await written(sum(part.size_bytes for part in parts))
        finally:
            await asyncio.to_thread(file.close)
        return parts, whole.hexdigest()

    async def read(self, parts: Sequence[PackedPart]) -> AsyncIterator[bytes]:
        """The content of each part in order.

        Raises:
            ArtifactDamaged: A part is missing, or not as it was written.
            StoreUnavailable: The store does not answer now.
        """
        for part in parts:
            try:
                files = await self._store.read(part.key)
            except ArtifactNotFound as error:
                raise ArtifactDamaged(f"{part.key} is not there any more.") from error
            await asyncio.to_thread(verify, part.key, files, {_NAME: part})
            yield files[_NAME]

    async def delete(self, build: str) -> None:
        """Whatever a build has stored, whether it came to an end or not. Raises StoreUnavailable."""
        prefix = f"{PREFIX}/{build}"
        for key in await self._store.keys(prefix, incomplete=True):
            await self._store.delete(key)
        await self._store.delete(prefix)


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    return file.read(size_bytes)
