"""Saved models as files: what a store does, checksums, and the store in a local folder."""

import asyncio
import contextlib
import hashlib
import random
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from pydantic import BaseModel

from common.errors import NotFound, ServiceError, Unavailable

_NAME = r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,255}"

_KEY = re.compile(rf"{_NAME}(/{_NAME})*")

_IDENTITY = "store"
"""Key of the artifact that tells one store from another."""

_IDENTITY_CHARACTERS = 32

_IDENTIFY_ATTEMPTS = 8

INCOMPLETE = ".incomplete."
"""Prefix of the folder that an artifact is written to before it is renamed; no key begins with a dot."""

_WRITER = "~"
"""Between such a folder's name and what tells one writer from another; no key contains it."""


class ArtifactNotFound(NotFound):
    title = "No such artifact"


class ArtifactExists(ServiceError):
    """Artifacts are written once."""

    status, title = 409, "The artifact exists already"


class ArtifactDamaged(ServiceError):
    """Files differ from what was published."""

    status, title = 500, "The artifact is damaged"


class StoreUnavailable(Unavailable):
    """The store does not answer, or cannot be written to now."""

    title = "The model store is not available"


class InvalidArtifactKey(ValueError):
    """A key is names separated by slashes; nothing that could leave the store."""


class FileInfo(BaseModel):
    """What a published file has to look like."""

    size_bytes: int
    sha256: str


class ArtifactStore(Protocol):
    """Artifacts are small sets of files (weights and their description), written once.

    Every method raises InvalidArtifactKey for what is no key, and StoreUnavailable while the store
    does not answer.
    """

    identity: str
    """Which store it is, the same for all who use it; empty until `identify` has asked."""

    async def write(self, key: str, files: Mapping[str, bytes]) -> None:
        """Store all files or none: written beside, read back and compared, then renamed.

        Raises:
            ArtifactExists: There is an artifact of that key.
        """

    async def keep(self, key: str, files: Mapping[str, bytes]) -> None:
        """`write` for a key that is made of what the files hold: whoever else does so at once succeeds, too.

        It leaves alone what others write beside it, and with it what interrupted writes have left: those are
        removed by `remove_interrupted_writes` as soon as the artifact is there, and by `delete`.

        Raises:
            ArtifactDamaged: What is there already has other files, or of other sizes.
        """

    async def read(self, key: str) -> dict[str, bytes]:
        """All files of an artifact. Raises ArtifactNotFound."""

    async def delete(self, key: str) -> None:
        """Remove an artifact and what an interrupted `write` of it left; nothing there is no error."""

    async def remove_interrupted_writes(self, prefix: str, keys: Collection[str]) -> list[str]:
        """Remove what interrupted writes of these artifacts, one level below a prefix, have left beside them.

        Not for what may be being written, unless by `keep`, and it is there: then that does no harm.

        Returns:
            Keys of those that had left something, sorted.
        """

    async def keys(self, prefix: str, *, incomplete: bool = False) -> list[str]:
        """Keys one level below a prefix, sorted; also those of interrupted writes, if asked."""

    async def check(self) -> None:
        """Return if the store answers and has, or can be given, its folder."""


def check_key(key: str) -> str:
    """The key itself. Raises InvalidArtifactKey."""
    if not _KEY.fullmatch(key):
        raise InvalidArtifactKey(f"{key!r} is not a key of an artifact")
    return key


def check_file_name(name: str) -> str:
    """The name itself; an artifact has no folders inside. Raises InvalidArtifactKey."""
    if not re.fullmatch(_NAME, name):
        raise InvalidArtifactKey(f"{name!r} is not a name of a file")
    return name


def describe(files: Mapping[str, bytes]) -> dict[str, FileInfo]:
    """Sizes and checksums."""
    return {
        name: FileInfo(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(files.items())
    }


def verify(key: str, files: Mapping[str, bytes], expected: Mapping[str, FileInfo]) -> None:
    """Raises ArtifactDamaged, naming the first file that is not as published."""
    for name in sorted(set(expected) | set(files)):
        if name not in files:
            raise ArtifactDamaged(f"{key}: {name} is missing.")
        if name not in expected:
            raise ArtifactDamaged(f"{key}: {name} was not published.")
        size, content = expected[name].size_bytes, files[name]
        if len(content) != size:
            raise ArtifactDamaged(f"{key}: {name} has {len(content)} bytes, published were {size}.")
        if hashlib.sha256(content).hexdigest() != expected[name].sha256:
            raise ArtifactDamaged(f"{key}: the checksum of {name} is not that of the published file.")


def is_kept(key: str, sizes: Mapping[str, int], files: Mapping[str, bytes]) -> bool:
    """Whether files of these sizes are those that `keep` was given; none are not there yet.

    Raises:
        ArtifactDamaged: Others are.
    """
    if not sizes:
        return False
    if sizes != {name: len(content) for name, content in files.items()}:
        raise ArtifactDamaged(f"{key}: what is there has other files, or of other sizes.")
    return True


def incomplete_name(key: str) -> str:
    """Where an artifact is before it is complete: beside its place, so that a rename moves it there.

    Every call gives another name: of two that write the same key at once, neither touches what the
    other is about to rename.
    """
    parent, _, name = key.rpartition("/")
    own = f"{INCOMPLETE}{name}{_WRITER}{uuid.uuid4().hex[:8]}"
    return f"{parent}/{own}" if parent else own


def interrupted_writes(keys: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """What writes have left beside the places of some keys in one folder.

    Args:
        names: Of the folders that lie there.
    Returns:
        The key by the name of what its write has left.
    """
    wanted = {key.rpartition("/")[2]: key for key in keys}
    left = {name: _name_of(name) for name in sorted(names) if _is_incomplete(name)}
    return {name: wanted[own] for name, own in left.items() if own in wanted}


async def identify(store: ArtifactStore) -> None:
    """Learn, or decide, a store's identity, which lies in the store itself.

    Without one, somebody else's empty folder would look like a store that has lost its artifacts.

    Raises:
        StoreUnavailable: It can neither be read nor written.
    """
    await store.check()
    for attempt in range(_IDENTIFY_ATTEMPTS):
        # Two services that start at once may both write, and hinder each other: who is late looks again.
        await asyncio.sleep(attempt * random.random() / 2)
        with contextlib.suppress(ArtifactExists, ArtifactDamaged, StoreUnavailable):
            try:
                identity = (await store.read(_IDENTITY)).get("identity", b"").decode(errors="replace")
            except ArtifactNotFound:
                await store.write(_IDENTITY, {"identity": uuid.uuid4().hex.encode()})
                continue
            if len(identity) == _IDENTITY_CHARACTERS:
                store.identity = identity
                return
    raise StoreUnavailable("The model store cannot be told from others: it forgets what is written.")


def keys_of(prefix: str, names: list[str], incomplete: bool) -> list[str]:
    """Keys below a prefix from the names of the folders that lie there."""
    wanted = {name for name in names if not name.startswith(".")}
    if incomplete:
        wanted |= {_name_of(name) for name in names if _is_incomplete(name)}
    return sorted(f"{prefix}/{name}" for name in wanted if _KEY.fullmatch(name))


def _is_incomplete(name: str) -> bool:
    return name.startswith(INCOMPLETE)


def _name_of(incomplete: str) -> str:
    return incomplete.removeprefix(INCOMPLETE).partition(_WRITER)[0]
