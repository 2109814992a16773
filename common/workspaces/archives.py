"""Archives that somebody uploads, read without trusting them: ZIP, and tar, with gzip or bzip2.

Nothing is ever written where an archive says: files come out as paths that were checked, and bytes.
"""

import bz2
import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from tarfile import HeaderError
from typing import Any

from common.errors import InvalidRequest, PayloadTooLarge
from common.workspaces.paths import check_path, check_tree

_PIECE = 1 << 16

_HEADER_BYTES = 2048
"""Of a file in a tar, its name and what fills its last block."""

_LISTED_BYTES = 46 + 512
"""Of a file in the list of members of a ZIP, its path included."""

_MARGIN_BYTES = 1 << 20

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,  # zipfile's: a password is needed
)


class InvalidArchive(InvalidRequest):
    title = "This is no archive that can be taken"


class ArchiveTooLarge(PayloadTooLarge):
    title = "What the archive holds is too much"


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold once it is unpacked; what it says of itself is not believed."""

    files: int
    size_bytes: int
    """Of all files together."""
    file_bytes: int
    """Of one file."""


def read_archive(content: bytes, bounds: Bounds) -> dict[str, bytes]:
    """Files by their paths; folders are those that files lie in, and empty ones are left out.

    Raises:
        InvalidArchive: It is none, is damaged, is locked, or holds links or devices, or a file twice.
        InvalidPath: A path in it leads somewhere else.
        ArchiveTooLarge: It holds more than `bounds`; reading stops there, however much is left.
    """
    files: dict[str, bytes] = {}
    left = bounds.size_bytes
    try:
        for name, stream in _members(content, bounds):
            if name in files:
                raise InvalidArchive(f"{name!r} is in the archive twice.")
            if len(files) == bounds.files:
                raise ArchiveTooLarge(f"The archive holds more than {bounds.files:,} files.")
            files[name] = _read(name, stream, min(left, bounds.file_bytes), bounds)
            left -= len(files[name])
    except _BROKEN as error:
        raise InvalidArchive(f"The archive cannot be read: {type(error).__name__}.") from error
    if not files:
        raise InvalidArchive("The archive holds no file.")
    check_tree(list(files))
    return files


def _members(content: bytes, bounds: Bounds) -> Iterator[tuple[str, io.BufferedIOBase]]:
    if zipfile.is_zipfile(io.BytesIO(content)):
        yield from _of_zip(content, bounds)
    else:
        yield from _of_tar(content, bounds)


def _of_zip(content: bytes, bounds: Bounds) -> Iterator[tuple[str, io.BufferedIOBase]]:
    with zipfile.ZipFile(_BoundedPieces(content, bounds)) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise InvalidArchive(f"{member.filename!r} is a link or device; an archive holds files.")
            if member.flag_bits & 0x1:
                raise InvalidArchive("The archive is locked with a password.")
            with archive.open(member) as stream:
                yield check_path(member.filename), stream  # type: ignore[misc]


class _BoundedPieces(io.BytesIO):
    """A ZIP, of which no piece is read that is longer than a list of all that it may hold.

    That list is read at once, and an object is made of each of its members, whatever they are.
    """

    def __init__(self, content: bytes, bounds: Bounds) -> None:
        super().__init__(content)
        self._most = max(bounds.files * _LISTED_BYTES, _PIECE)
        self._files = bounds.files

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise ArchiveTooLarge(f"The archive lists far more than {self._files:,} files and folders.")
        return super().read(size)


def _of_tar(content: bytes, bounds: Bounds) -> Iterator[tuple[str, io.BufferedIOBase]]:
    with _decompressed(content) as whole:
        bounded = _BoundedStream(whole, bounds)
        # As a stream: members are looked at in their order, and no list of all is made first.
        with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Member) as archive:  # type: ignore[call-overload]
            for member in archive:
                if member.isdir():
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise InvalidArchive(f"{member.name!r} is a link or device; an archive holds files.")
                yield check_path(member.name), stream
        while bounded.read(_PIECE):  # to the checksum at its end
            pass


def _decompressed(content: bytes) -> Any:
    """As a file. Not xz: who makes one says how much memory it takes to read."""
    raw = io.BytesIO(content)
    if content.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if content.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    return raw


class _BoundedStream:
    """What is read of a tar, headers included: one of them alone can say that it is gigabytes long."""

    def __init__(self, stream: Any, bounds: Bounds) -> None:
        self._stream = stream
        self._bounds = bounds
        self._left = bounds.size_bytes + bounds.files * _HEADER_BYTES + _MARGIN_BYTES

    def read(self, size: int) -> bytes:
        found: bytes = self._stream.read(min(size, self._left + 1))
        self._left -= len(found)
        if self._left < 0:
            raise ArchiveTooLarge(f"The archive holds more than {self._bounds.size_bytes:,} bytes.")
        return found


class _Member(tarfile.TarInfo):
    """One that is missed where the archive ends before its mark of the end.

    Of itself Python takes that for the end, and an upload that was cut short for a smaller archive.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ in ("EmptyHeaderError", "TruncatedHeaderError"):
                raise InvalidArchive("The archive is cut short: it ends without saying so.") from error
            raise


def _read(name: str, stream: io.BufferedIOBase, most: int, bounds: Bounds) -> bytes:
    found = bytearray()
    while piece := stream.read(min(_PIECE, most + 1 - len(found))):
        found += piece
        if len(found) > most:
            raise ArchiveTooLarge(
                f"{name!r}: a file holds at most {bounds.file_bytes:,} bytes,"
                f" and all together {bounds.size_bytes:,}."
            )
    return bytes(found)
