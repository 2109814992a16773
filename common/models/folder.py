"""Artifacts in a folder of this machine."""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from common.errors import ServiceError
from common.models.artifacts import (
    ArtifactExists,
    ArtifactNotFound,
    StoreUnavailable,
    check_file_name,
    check_key,
    describe,
    incomplete_name,
    interrupted_writes,
    is_kept,
    keys_of,
    verify,
)


class FolderStore:
    """Artifacts as folders below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.identity = ""

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        for name in files:
            check_file_name(name)
        await asyncio.to_thread(self._write, check_key(key), dict(files))

    async def keep(self, key: str, files: Mapping[str, bytes]) -> None:
        for name in files:
            check_file_name(name)
        await asyncio.to_thread(self._keep, check_key(key), dict(files))

    async def read(self, key: str) -> dict[str, bytes]:
        return await asyncio.to_thread(self._read, check_key(key))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, check_key(key))

    async def remove_interrupted_writes(self, prefix: str, keys: Collection[str]) -> list[str]:
        return await asyncio.to_thread(self._remove_interrupted_writes, self._root / check_key(prefix), keys)

    async def keys(self, prefix: str, *, incomplete: bool = False) -> list[str]:
        return await asyncio.to_thread(self._keys, check_key(prefix), incomplete)

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    def _write(self, key: str, files: dict[str, bytes]) -> None:
        self._remove_interrupted_writes((self._root / key).parent, [key])
        self._write_beside(key, files)

    def _keep(self, key: str, files: dict[str, bytes]) -> None:
        if is_kept(key, self._sizes(key), files):
            return
        try:
            self._write_beside(key, files)
        except ServiceError:  # such as somebody else's being there first
            if not is_kept(key, self._sizes(key), files):
                raise

    def _sizes(self, key: str) -> dict[str, int]:
        """Of an artifact's files; none where it is not there. Raises StoreUnavailable."""
        try:
            return {file.name: file.stat().st_size for file in (self._root / key).iterdir() if file.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise StoreUnavailable(f"The folder of models cannot be read: {error.strerror}.") from error

    def _write_beside(self, key: str, files: dict[str, bytes]) -> None:
        target, temporary = self._root / key, self._root / incomplete_name(key)
        try:
            temporary.mkdir(parents=True)
            for name, content in files.items():
                with (temporary / name).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            verify(key, _read_folder(temporary), describe(files))
            if target.exists():
                raise ArtifactExists(f"There is an artifact {key!r} already.")
            temporary.rename(target)
            sync(target)
            sync(target.parent)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # by somebody else, since it was looked for
                raise ArtifactExists(f"There is an artifact {key!r} already.") from error
            raise StoreUnavailable(f"The folder of models cannot be written to: {error.strerror}.") from error
        except ServiceError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _read(self, key: str) -> dict[str, bytes]:
        try:
            return _read_folder(self._root / key)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._root.is_dir():  # nothing can be said about what belongs there
                raise StoreUnavailable("The folder of models is not there.") from error
            raise ArtifactNotFound(f"There is no artifact {key!r}.") from error
        except OSError as error:
            raise StoreUnavailable(f"The folder of models cannot be read: {error.strerror}.") from error

    def _delete(self, key: str) -> None:
        # What is being deleted is no artifact any more, also where this is cut short.
        with contextlib.suppress(OSError):
            (self._root / key).rename(self._root / incomplete_name(key))
        self._remove_interrupted_writes((self._root / key).parent, [key])

    def _remove_interrupted_writes(self, folder: Path, keys: Collection[str]) -> list[str]:
        left = interrupted_writes(keys, _folder_names(folder))
        for name, key in left.items():
            # Renamed first: whoever is still writing there fails as a whole, and renames no empty folder.
            removed = self._root / incomplete_name(key)
            with contextlib.suppress(OSError):
                (folder / name).rename(removed)
            shutil.rmtree(removed, ignore_errors=True)
        return sorted(set(left.values()))

    def _keys(self, prefix: str, incomplete: bool) -> list[str]:
        return keys_of(prefix, _folder_names(self._root / prefix), incomplete)

    def _check(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"The folder of models cannot be used: {error.strerror}.") from error


def _folder_names(folder: Path) -> list[str]:
    """Of the folders in a folder, which may be missing. Raises StoreUnavailable."""
    try:
        return [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreUnavailable(f"The folder of models cannot be read: {error.strerror}.") from error


def _read_folder(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def sync(path: Path) -> None:
    """Have a file or folder on the disk; a rename survives a power cut only after that of its folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
