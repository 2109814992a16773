"""A version's files on the node where a replica runs: fetched once for all replicas there, and checked."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from prediction.inference.engine.keeper import KeptFile, NotKept, read, session_folder, sha256_of

_UNUSED_SECONDS = 86_400.0
"""How long files stay that no replica uses, on a node of which nobody says how long it is there."""


@dataclass
class Carried:
    """A version on this node; nobody removes it as long as this object is there."""

    folder: Path
    environment: Path | None
    _locks: list[IO[bytes]]


def fetched(described: Mapping[str, Any]) -> Carried:
    """What `keeper.bring` has described, on this node. Blocks.

    Raises:
        NotKept: The keeper lacks a file.
        OSError
    """
    cache = _cache()
    _remove_unused(cache)
    locks: list[IO[bytes]] = []
    files = [KeptFile(**each) for each in described["files"]]
    digest = hashlib.sha256(json.dumps(described["files"], sort_keys=True).encode()).hexdigest()
    folder = _entry(cache, digest, files, locks)
    environment = None
    if described["environment"]:
        packed = KeptFile(**described["environment"])
        environment = _entry(cache, packed.sha256, [packed], locks) / packed.path
        environment.chmod(0o700)
    return Carried(folder, environment, locks)


def _entry(cache: Path, digest: str, files: Sequence[KeptFile], locks: list[IO[bytes]]) -> Path:
    """A folder of the cache with these files; those that are there already are compared."""
    lock = (cache / f"{digest}.lock").open("wb")
    locks.append(lock)
    fcntl.flock(lock, fcntl.LOCK_SH)  # waits for nobody but who removes it at this moment
    entry = cache / digest
    if not _is_whole(entry, files):
        new = cache / f"{uuid.uuid4().hex}.new"
        try:
            for file in files:
                _fetch(file, new / file.path)
            shutil.rmtree(entry, ignore_errors=True)
            with contextlib.suppress(OSError):  # another replica was quicker
                new.rename(entry)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    os.utime(entry)
    return entry


def _is_whole(entry: Path, files: Sequence[KeptFile]) -> bool:
    places = [(entry / file.path, file) for file in files]
    return all(place.is_file() and sha256_of(place) == file.sha256 for place, file in places)


def _fetch(file: KeptFile, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as output:
        for piece in read(file.sha256):
            output.write(piece)
    if sha256_of(place) != file.sha256:
        raise NotKept(f"{file.path} came damaged")


def _cache() -> Path:
    cache = session_folder() / "enel-versions"
    cache.mkdir(mode=0o700, exist_ok=True)
    return cache


def _remove_unused(cache: Path) -> None:
    """Lock files stay: one that is removed would be another one for who has it open already."""
    for lock_file in cache.glob("*.lock"):
        entry = lock_file.with_suffix("")
        with contextlib.suppress(OSError), lock_file.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if entry.exists() and entry.stat().st_mtime < time.time() - _UNUSED_SECONDS:
                shutil.rmtree(entry)
