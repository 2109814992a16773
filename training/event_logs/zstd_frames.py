"""Frames of Zstandard (RFC 8878) that end where their file was cut.

A reader of streams gives nothing of what it has decompressed for a piece in whose middle the file ends. Here
a frame that is cut is ended behind its last whole block, so that all before it comes out.
"""

import io
from collections.abc import Iterator
from typing import Protocol

MAGIC = b"\x28\xb5\x2f\xfd"

_SKIPPABLE = tuple(bytes((0x50 + number, 0x2A, 0x4D, 0x18)) for number in range(16))
_LAST_AND_EMPTY = b"\x01\x00\x00"
_RUN_LENGTH = 1
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
_PIECE = 1 << 16


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""


class ZstdFrames(io.RawIOBase):
    """A file that reads as if it had been ended in order.

    What has a checksum or says its size in a frame's header is not: its decompressor finds out. Spark's have
    neither.

    Attributes:
        is_cut: Whether the file ended in the middle of a frame; known at the end.
    """

    def __init__(self, file: Readable) -> None:
        super().__init__()
        self._file = file
        self._units = self._whole_units()
        self._left = b""
        self.is_cut = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        wanted = _PIECE if size < 0 else size
        found = [self._left]
        length = len(self._left)
        while length < wanted and (unit := next(self._units, b"")):
            found.append(unit)
            length += len(unit)
        whole = b"".join(found)
        self._left = whole[wanted:]
        return whole[:wanted]

    def _whole_units(self) -> Iterator[bytes]:
        """Headers of frames, and blocks, as far as they are whole."""
        while magic := self._take(len(MAGIC)):
            if magic in _SKIPPABLE:
                length = self._take(4)
                yield magic + length + self._take(int.from_bytes(length, "little"))
            elif magic == MAGIC:
                yield from self._frame()
            elif MAGIC.startswith(magic):
                self.is_cut = True
            else:  # what this is, the decompressor says
                yield magic
                while piece := self._take(_PIECE):
                    yield piece

    def _take(self, size: int) -> bytes:
        """So many bytes, fewer only at the end: pipes give what they have."""
        found = self._file.read(size)
        while 0 < len(found) < size and (piece := self._file.read(size - len(found))):
            found += piece
        return found

    def _frame(self) -> Iterator[bytes]:
        descriptor = self._take(1)
        if not descriptor:
            self.is_cut = True
            return
        said = descriptor[0]
        is_single_segment, has_checksum = bool(said & 0x20), bool(said & 0x04)
        size_bytes = _CONTENT_SIZE_BYTES[said >> 6] or int(is_single_segment)
        rest_bytes = size_bytes + _DICTIONARY_ID_BYTES[said & 0x03] + int(not is_single_segment)
        rest = self._take(rest_bytes)
        if len(rest) < rest_bytes:
            self.is_cut = True
            return
        yield MAGIC + descriptor + rest
        is_last = False
        while not is_last:
            header = self._take(len(_LAST_AND_EMPTY))
            block = int.from_bytes(header, "little")
            is_last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            length = 1 if kind == _RUN_LENGTH else length
            content = self._take(length) if len(header) == len(_LAST_AND_EMPTY) else b""
            if len(header) < len(_LAST_AND_EMPTY) or len(content) < length:
                self.is_cut = True
                yield _LAST_AND_EMPTY
                return
            yield header + content
        if has_checksum:
            yield self._take(4)
