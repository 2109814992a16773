"""Saved models as files: a small interface, and the store that keeps them in a local folder."""

import asyncio
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from common.errors import NotFound

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255}(/[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255})*$")


class ArtifactNotFound(NotFound):
    title = "No such artifact"


class InvalidArtifactKey(ValueError):
    """A key is names separated by slashes; nothing that could leave the store."""


def check_key(key: str) -> str:
    """The key itself. Raises InvalidArtifactKey."""
    if not _KEY.fullmatch(key):
        raise InvalidArtifactKey(f"{key!r} is not a key of an artifact")
    return key


class ArtifactStore(Protocol):
    """Artifacts are small sets of files (weights and their description), written once."""

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        """Store all files or none; an artifact of that key is replaced."""

    async def read(self, key: str) -> dict[str, bytes]:
        """All files of an artifact. Raises ArtifactNotFound."""

    async def delete(self, key: str) -> None:
        """Remove an artifact; one that is not there is no error."""

    async def keys(self, prefix: str) -> list[str]:
        """Keys of the artifacts directly below a prefix, sorted."""


class FolderStore:
    """Artifacts as folders below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._write, check_key(key), dict(files))

    async def read(self, key: str) -> dict[str, bytes]:
        return await asyncio.to_thread(self._read, check_key(key))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._root / check_key(key), True)

    async def keys(self, prefix: str) -> list[str]:
        return await asyncio.to_thread(self._keys, check_key(prefix))

    def _write(self, key: str, files: dict[str, bytes]) -> None:
        target = self._root / key
        temporary = self._root / ".incoming" / uuid.uuid4().hex
        temporary.mkdir(parents=True)
        try:
            for name, content in files.items():
                with (temporary / check_key(name)).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(self._root / ".incoming" / f"{temporary.name}.replaced")
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(self._root / ".incoming" / f"{temporary.name}.replaced", ignore_errors=True)

    def _read(self, key: str) -> dict[str, bytes]:
        folder = self._root / key
        try:
            return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ArtifactNotFound(f"There is no artifact {key!r}.") from error

    def _keys(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        if not folder.is_dir():
            return []
        return sorted(f"{prefix}/{entry.name}" for entry in folder.iterdir() if entry.is_dir())
