"""Event logs as Spark writes them, decompressed while they are read.

What a file is compressed with is told by its first bytes: names are changed by whoever moves files about.

Sources of the framings: Zstandard, RFC 8878 (a log has a frame for every flush); lz4-java's
LZ4BlockOutputStream; snappy-java's SnappyOutputStream. The Python packages of the latter names read other
framings than these.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import xxhash

from common.errors import InvalidRequest
from training.event_logs.zstd_frames import MAGIC, ZstdFrames

_CHUNK_BYTES = 1 << 20
_MOST_BLOCK_BYTES = 64 << 20
"""Of one block of lz4 or snappy, decompressed; Spark's are 32 KiB to a few MiB."""

_ZSTD = MAGIC
_LZ4 = b"LZ4Block"
_SNAPPY = b"\x82SNAPPY\x00"
_LZF = b"ZV"
_GZIP = b"\x1f\x8b"
_MAGICS = (_ZSTD, _LZ4, _SNAPPY, _GZIP)
_GZIP_WBITS = 16 + zlib.MAX_WBITS
"""zlib's way of saying that there is a header of gzip."""

_LZ4_HEADER = struct.Struct("<BIII")
_LZ4_RAW, _LZ4_COMPRESSED = 0x10, 0x20
_LZ4_SEED = 0x9747B28C
_LZ4_CHECKSUM_MASK = 0x0FFFFFFF

_SNAPPY_VERSIONS = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")


class UnreadableLog(InvalidRequest):
    """What is no event log, or none that can be read here."""

    title = "Not a readable event log"


class CutShort(Exception):
    """The file ends, or is damaged, in the middle: what came before is right."""


def plain(file: BinaryIO) -> Iterator[bytes]:
    """A file's content, decompressed, in pieces of about a mebibyte.

    Raises:
        UnreadableLog: It is compressed with something else; nothing was read.
        CutShort: After the last piece that can be read.
    """
    start = file.read(8)
    stream = _Rest(start, file)
    if start.startswith(_ZSTD):
        return _zstd(stream)
    if start == _LZ4:
        return _lz4(stream)
    if start == _SNAPPY:
        return _snappy(stream)
    if start.startswith(_GZIP):
        return _gzip(stream)
    if start.startswith(_LZF):
        raise UnreadableLog(
            "It is compressed with LZF (spark.eventLog.compression.codec=lzf), which is not read here: have"
            " Spark write zstd, or decompress it with Spark's own history server."
        )
    if start and any(len(start) < len(magic) and magic.startswith(start) for magic in _MAGICS):
        return _nothing_but_its_beginning()
    if start and start[:1] not in b"{ \t\r\n":
        raise UnreadableLog("It is neither JSON nor compressed with zstd, lz4, snappy or gzip.")
    return _pieces(stream)


def _nothing_but_its_beginning() -> Iterator[bytes]:
    """Of a file that ends within the bytes that say how it is compressed."""
    yield from ()
    raise CutShort("it ends where what is compressed begins")


class _Rest(io.RawIOBase):
    """A file of which the first bytes have been read already."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        super().__init__()
        self._start = start
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._start:
            taken, self._start = (self._start, b"") if size < 0 else (self._start[:size], self._start[size:])
            return taken if len(taken) == size else taken + self._file.read(size - len(taken))
        return self._file.read(size)


def _gzip(stream: _Rest) -> Iterator[bytes]:
    """Members one after another; what was decompressed before the file ends in one is right."""
    rest = b""
    while rest := rest.lstrip(b"\0") or stream.read(_CHUNK_BYTES):
        if not rest.strip(b"\0"):
            rest = b""  # tapes and blocks are filled up with these
            continue
        member = zlib.decompressobj(wbits=_GZIP_WBITS)
        try:
            while not member.eof:
                if not (found := member.decompress(rest, _CHUNK_BYTES)) and not rest:
                    raise CutShort("it ends in the middle of what gzip has compressed")
                if found:
                    yield found
                rest = member.unconsumed_tail or (b"" if member.eof else stream.read(_CHUNK_BYTES))
        except zlib.error as error:
            raise CutShort(str(error)) from error
        rest = member.unused_data


def _pieces(stream: BinaryIO | io.RawIOBase) -> Iterator[bytes]:
    try:
        while piece := stream.read(_CHUNK_BYTES):
            yield piece
    except (EOFError, OSError) as error:
        raise CutShort(str(error)) from error


def _zstd(stream: _Rest) -> Iterator[bytes]:
    frames = ZstdFrames(stream)
    with pa.CompressedInputStream(pa.PythonFile(frames, "r"), "zstd") as found:
        try:
            while piece := found.read(_CHUNK_BYTES):
                yield piece
        except (OSError, pa.ArrowInvalid) as error:
            raise CutShort(str(error)) from error
    if frames.is_cut:
        raise CutShort("it ends in the middle of what zstd has compressed")


def _lz4(stream: _Rest) -> Iterator[bytes]:
    codec = pa.Codec("lz4_raw")
    while magic := stream.read(len(_LZ4)):
        if magic != _LZ4:
            raise CutShort("where a block of lz4 should begin there is something else")
        method, taken, length, checksum = _LZ4_HEADER.unpack(_exactly(stream, _LZ4_HEADER.size))
        if max(taken, length) > _MOST_BLOCK_BYTES:
            raise CutShort(f"a block of {length:,} bytes")
        content = _exactly(stream, taken)
        if method & 0xF0 == _LZ4_COMPRESSED:
            content = _decompressed(codec, content, length)
        elif method & 0xF0 != _LZ4_RAW:
            raise CutShort(f"a block of the unknown method {method}")
        if length and xxhash.xxh32_intdigest(content, _LZ4_SEED) & _LZ4_CHECKSUM_MASK != checksum:
            raise CutShort("a block whose checksum is not that of its content")
        if content:
            yield content


def _snappy(stream: _Rest) -> Iterator[bytes]:
    codec = pa.Codec("snappy")
    while start := stream.read(_LENGTH.size):
        if start == _SNAPPY[: _LENGTH.size]:  # a stream that was appended to another one
            _exactly(stream, len(_SNAPPY) - _LENGTH.size + _SNAPPY_VERSIONS.size)
            continue
        if len(start) < _LENGTH.size:
            raise CutShort("a length that is cut")
        (taken,) = _LENGTH.unpack(start)
        if not 0 <= taken <= _MOST_BLOCK_BYTES:
            raise CutShort(f"a block of {taken:,} bytes")
        content = _exactly(stream, taken)
        length = _snappy_length(content)
        if length > _MOST_BLOCK_BYTES:
            raise CutShort(f"a block of {length:,} bytes")
        yield _decompressed(codec, content, length)


def _snappy_length(block: bytes) -> int:
    """Of its content: a number of 7 bits a byte, the least first."""
    length = 0
    for position, byte in enumerate(block[:5]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return length
    raise CutShort("a block without its length")


def _decompressed(codec: pa.Codec, content: bytes, length: int) -> bytes:
    try:
        found: bytes = codec.decompress(content, length, asbytes=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise CutShort(str(error)) from error
    return found


def _exactly(stream: _Rest, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = stream.read(size - len(found))
        if not piece:
            raise CutShort("the file ends in the middle of a block")
        found += piece
    return found
