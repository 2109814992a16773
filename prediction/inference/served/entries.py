"""Folders on this machine's disk that many use: whole or not there, compared, and kept while one is in use.

All of it blocks. Who uses an entry holds a shared lock on a file beside it, which also other services see.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from common.models.artifacts import FileInfo
from common.models.folder import sync

BEGUN = ".begun-"
"""What folders are called that are not whole yet."""

_USED = ".used-"
"""A file whose time of change says when an entry was used last; it stays, as others may wait for its lock."""

_SUMS = "sums.json"
"""In an entry: what its files are, where nobody else knows that."""

_LEFT_SECONDS = 24 * 3600.0
"""After which a folder that was begun and not finished belongs to nobody any more."""


class Hold:
    """Entries that stay until they are released."""

    def __init__(self) -> None:
        self._locks: list[IO[bytes]] = []

    def add(self, entry: Path) -> None:
        """Wait for who is removing it, and keep it from then on. Raises OSError."""
        path = entry.parent / f"{_USED}{entry.name}"
        lock: IO[bytes]
        try:
            lock = path.open("ab")
        except OSError:  # a disk that is read-only by now
            lock = path.open("rb")
        fcntl.flock(lock, fcntl.LOCK_SH)
        self._locks.append(lock)
        with contextlib.suppress(OSError):
            os.utime(path)

    def release(self) -> None:
        """They may make room for others."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files by their paths. Raises OSError."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def note_sums(folder: Path, sums: Mapping[str, FileInfo]) -> None:
    """Remember in an entry what its files are. Raises OSError."""
    (folder / _SUMS).write_text(json.dumps({path: info.model_dump() for path, info in sums.items()}))


def settle(begun: Path, entry: Path, *, replaces: bool) -> None:
    """Let a folder that is complete be the entry, also after a loss of power.

    Args:
        replaces: Whether an entry that is there is damaged; one that another service has finished meanwhile
            has the same files, and stays.
    Raises:
        OSError
    """
    for root, _, names in os.walk(begun):
        for name in names:
            sync(Path(root) / name)
        sync(Path(root))
    damaged = begun.with_name(f"{begun.name}-damaged")
    if replaces:
        with contextlib.suppress(FileNotFoundError):
            entry.rename(damaged)
    with contextlib.suppress(FileExistsError):
        _rename(begun, entry)
    sync(entry.parent)
    shutil.rmtree(damaged, ignore_errors=True)


def difference(entry: Path, expected: Mapping[str, FileInfo] | None) -> str | None:
    """A file of an entry that is missing, or not what it should be; None where all are.

    Args:
        expected: By path; None: as the entry itself says.
    """
    if expected is None:
        try:
            noted = json.loads((entry / _SUMS).read_bytes())
            expected = {path: FileInfo.model_validate(info) for path, info in noted.items()}
        except (OSError, ValueError, AttributeError):
            return _SUMS
        if not expected:
            return _SUMS
    return next((path for path, info in expected.items() if not _is(entry / path, info)), None)


def make_room(folder: Path, limit_bytes: int) -> list[str]:
    """Remove what was used longest ago and is not in use, down to the limit; names of what was removed."""
    if not folder.is_dir():
        return []
    removed: list[str] = []
    entries: list[tuple[float, int, Path]] = []
    for entry in folder.iterdir():
        if not entry.is_dir():
            continue
        if entry.name.startswith("."):
            if time.time() - entry.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
            continue
        entries.append((_used_at(entry), _size(entry), entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total <= limit_bytes:
            break
        if _remove_unused(entry):
            removed.append(entry.name)
            total -= size
    return removed


def _remove_unused(entry: Path) -> bool:
    with (entry.parent / f"{_USED}{entry.name}").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(entry, ignore_errors=True)
        return True


def _rename(begun: Path, entry: Path) -> None:
    """Raises FileExistsError where it is there."""
    try:
        begun.rename(entry)
    except OSError as error:
        if entry.is_dir():
            raise FileExistsError(entry) from error
        raise


def _is(path: Path, info: FileInfo) -> bool:
    try:
        if path.stat().st_size != info.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == info.sha256
    except OSError:
        return False


def _used_at(entry: Path) -> float:
    try:
        return (entry.parent / f"{_USED}{entry.name}").stat().st_mtime
    except OSError:
        return entry.stat().st_mtime


def _size(entry: Path) -> int:
    total = 0
    for root, _, names in os.walk(entry):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total
