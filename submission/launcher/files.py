"""Files that come and go: archives of the service unpacked and compared, outputs described."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

_PIECE = 1 << 20


class Damaged(EOFError):
    """What came is not what was sent, or not all of it; it is asked for again."""


class OutputRefused(Exception):
    """What lies in the output folder cannot be kept; the message is for the person who wrote the program."""


def unpack(stream: IO[bytes], folder: Path, files: Sequence[Mapping[str, Any]]) -> None:
    """Write an archive of the service to a folder, which may hold a part of it already.

    Args:
        stream: A tar.
        files: `path`, `sha256` and `size_bytes` of each; of an archive nothing else is written.
    Raises:
        Damaged: A file is missing, or is another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left = {str(file["path"]): file for file in files}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or (file := left.pop(member.name, None)) is None:
                    raise Damaged(f"{member.name!r} was not announced")
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                if _copy(content, target) != file["sha256"]:
                    raise Damaged(f"{member.name!r} is not what was announced")
    except tarfile.TarError as error:
        raise Damaged(str(error)) from error
    if left:
        raise Damaged(f"{len(left)} files have not come")


def unpack_until(stream: IO[bytes], folder: Path, last: str) -> None:
    """Write an archive of which no list was announced, and whose last file is known.

    Raises:
        Damaged: It holds something else than files below the folder, or ends before its last file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_whole = False
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                target = (folder / member.name).resolve()
                if content is None or not target.is_relative_to(folder.resolve()):
                    raise Damaged(f"{member.name!r} is no file of the folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(content, target)
                is_whole = member.name == last
    except tarfile.TarError as error:
        raise Damaged(str(error)) from error
    if not is_whole:
        raise Damaged(f"{last} has not come")


def _copy(content: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while piece := content.read(_PIECE):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


@dataclass
class Output:
    """A file that the program has left, and the parts in which it is sent."""

    path: str
    """From the output folder on, with slashes."""
    location: Path
    size_bytes: int = 0
    sha256: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    """`sha256` and `size_bytes` of each, in order."""

    def described(self) -> dict[str, Any]:
        """For the service."""
        return {
            "path": self.path,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "parts": self.parts,
        }


def outputs(folder: Path, *, most_files: int, most_bytes: int, part_bytes: int) -> list[Output]:
    """What lies below the output folder, by path.

    Raises:
        OutputRefused: There are links or devices, or more than is allowed.
    """
    found: list[Output] = []
    size = 0
    for path, entry in _walk(folder, ""):
        mode = entry.stat(follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            raise OutputRefused(f"{path!r} in ENEL_OUTPUT_DIR is a link or device; files are kept.")
        size += entry.stat(follow_symlinks=False).st_size
        if len(found) == most_files or size > most_bytes:
            raise OutputRefused(
                f"ENEL_OUTPUT_DIR holds more than {most_files:,} files or {most_bytes:,} bytes"
                " (PROGRAM_OUTPUT_MAX_FILES, PROGRAM_OUTPUT_MAX_BYTES)."
            )
        found.append(_described(Output(path, Path(entry.path)), part_bytes))
    return sorted(found, key=lambda output: output.path)


def part(output: Output, number: int, part_bytes: int) -> bytes:
    """One part of a file. Raises OutputRefused where the file has changed since it was described."""
    with output.location.open("rb") as file:
        file.seek(number * part_bytes)
        content = file.read(part_bytes)
    if hashlib.sha256(content).hexdigest() != output.parts[number]["sha256"]:
        raise OutputRefused(f"{output.path!r} in ENEL_OUTPUT_DIR changes after the program's end.")
    return content


def open_regular(path: Path) -> BinaryIO:
    """A program's file, to be read; a pipe would have its reader wait for ever.

    Raises:
        OSError: There is none, or it is a link, pipe or device.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _walk(folder: Path, below: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{path}/")
            else:
                yield path, entry


def _described(output: Output, part_bytes: int) -> Output:
    whole = hashlib.sha256()
    with output.location.open("rb") as file:
        while content := file.read(part_bytes):
            whole.update(content)
            output.size_bytes += len(content)
            output.parts.append({"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)})
    output.sha256 = whole.hexdigest()
    return output


def size_of(folder: Path, most_bytes: int, most_files: int) -> tuple[int, int]:
    """Bytes and files below a folder, counted only as far as these limits; what vanishes is left out."""
    size, count, folders = 0, 0, [str(folder)]
    while folders and size <= most_bytes and count <= most_files:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:  # by blocks: a file with holes takes what it takes
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
                    except OSError:
                        continue
        except OSError:
            continue
    return size, count
