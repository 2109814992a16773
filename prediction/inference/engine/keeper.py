"""Files of versions on their way to other nodes: an actor on a cluster's head keeps what gateways bring.

Ray's own way, a `runtime_env`, copies all of it anew for each application, and wants less than 1.5 GB.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import worker

PIECE_BYTES = 4 << 20
CALL_SECONDS = 60.0
"""For one piece."""

_NAME = "keeper"
_NAMESPACE = "enel"


class NotKept(Exception):
    """The keeper lacks a file, or has another one than it should."""


@dataclass(frozen=True)
class KeptFile:
    """A file, from the version's folder on."""

    path: str
    sha256: str
    size_bytes: int


class Keeper:
    """The actor; files lie in the Ray session's folder, by their digests."""

    def __init__(self) -> None:
        self._folder = session_folder() / "enel-keeper"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._wanted: dict[str, set[str]] = {}

    def want(self, name: str, digests: Sequence[str]) -> list[str]:
        """Keep these files for a deployment; returns those that are to be brought."""
        self._wanted[name] = set(digests)
        return [digest for digest in digests if not (self._folder / digest).exists()]

    def release(self, name: str) -> None:
        """A deployment is gone; what no other one wants is removed."""
        released = self._wanted.pop(name, set())
        for digest in released.difference(*self._wanted.values()):
            (self._folder / digest).unlink(missing_ok=True)

    def write(self, upload: str, piece: bytes) -> None:
        """The next piece of an upload."""
        with (self._folder / f"{upload}.part").open("ab") as file:
            file.write(piece)

    def finish(self, upload: str, digest: str) -> None:
        """Raises NotKept: what came is not what was announced."""
        part = self._folder / f"{upload}.part"
        part.touch()
        if sha256_of(part) != digest:
            part.unlink()
            raise NotKept(f"{digest} came damaged")
        part.rename(self._folder / digest)

    def read(self, digest: str, offset: int) -> bytes:
        """A piece; empty at the end. Raises NotKept."""
        try:
            with (self._folder / digest).open("rb") as file:
                file.seek(offset)
                return file.read(PIECE_BYTES)
        except OSError as error:
            raise NotKept(f"{digest} is not kept") from error


def keeper() -> Any:
    """The cluster's keeper, started where there is none."""
    return (
        ray.remote(Keeper)
        .options(
            name=_NAME,
            namespace=_NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            resources={"node:__internal_head__": 0.001},
        )
        .remote()
    )


def bring(name: str, folder: Path, environment: Path | None) -> dict[str, Any]:
    """Have the files of a deployment kept; returns what `carried.fetched` needs. Blocks.

    Raises:
        NotKept, OSError, ray.exceptions.RayError
    """
    files = [_described(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    packed = _described(environment, environment.parent) if environment else None
    places = {each.sha256: folder / each.path for each in files}
    if environment and packed:
        places[packed.sha256] = environment
    keeping = keeper()
    for digest in _get(keeping.want.remote(name, list(places))):
        upload = uuid.uuid4().hex
        for piece in _pieces(places[digest]):
            _get(keeping.write.remote(upload, piece))
        _get(keeping.finish.remote(upload, digest))
    return {"files": [asdict(each) for each in files], "environment": packed and asdict(packed)}


def release(name: str) -> None:
    """Blocks."""
    _get(keeper().release.remote(name))


def read(digest: str) -> Iterator[bytes]:
    """A file of the keeper's, in pieces. Blocks. Raises NotKept."""
    keeping, offset = keeper(), 0
    while piece := _get(keeping.read.remote(digest, offset)):
        offset += len(piece)
        yield piece


def session_folder() -> Path:
    """Where Ray has its own files on this node, until the cluster ends."""
    return Path(worker._global_node.get_session_dir_path())


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(path: Path, folder: Path) -> KeptFile:
    return KeptFile(path.relative_to(folder).as_posix(), sha256_of(path), path.stat().st_size)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _get(call: Any) -> Any:
    return ray.get(call, timeout=CALL_SECONDS)
