"""Logs that Spark's Zstandard has compressed, cut at any byte: what was flushed before is read."""

import io
from itertools import accumulate

import pyarrow as pa
import pytest

from training.event_logs.compression import CutShort, plain

FLUSHED = [f'{{"Event":"SparkListenerJobEnd","Job ID":{number}}}\n'.encode() * 9 for number in range(20)]


class Pipe(io.BytesIO):
    """Gives no more than nine bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(9, size) if size is not None and size >= 0 else 9)


def compressed(pieces: list[bytes]) -> tuple[bytes, list[int]]:
    """In one frame, as zstd-jni does it with a stream; and how long it is after each flush."""
    sink = pa.BufferOutputStream()
    ends = []
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for piece in pieces:
            stream.write(piece)
            stream.flush()
            ends.append(sink.tell())
    return sink.getvalue().to_pybytes(), ends


def read(content: bytes, kind: type[io.BytesIO] = io.BytesIO) -> tuple[bytes, bool]:
    """What can be read of it, and whether it was cut."""
    found = b""
    try:
        for piece in plain(kind(content)):
            found += piece
    except CutShort:
        return found, True
    return found, False


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_all_that_was_flushed_before_the_cut_is_read(kind: type[io.BytesIO]) -> None:
    first, _ = compressed(FLUSHED[:5])
    second, ends = compressed(FLUSHED[5:])
    whole = first + second
    assert read(whole, kind) == (b"".join(FLUSHED), False)
    lengths = list(accumulate(map(len, FLUSHED)))
    for cut in range(len(first) + 1, len(whole)):
        found, is_cut = read(whole[:cut], kind)
        flushed = sum(len(first) + end <= cut for end in ends)
        assert is_cut
        assert b"".join(FLUSHED).startswith(found)
        assert len(found) >= lengths[4 + flushed]


def test_what_may_be_skipped_is_and_what_is_no_frame_is_told() -> None:
    frame, _ = compressed(FLUSHED[:1])
    skipped = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    assert read(frame + skipped + frame) == (FLUSHED[0] * 2, False)
    found, is_cut = read(frame + b"something else")
    assert is_cut
    assert FLUSHED[0].startswith(found)


def test_frames_that_say_their_size_are_read() -> None:
    whole = b"".join(FLUSHED) * 200
    content = pa.Codec("zstd").compress(whole, asbytes=True)
    assert read(content) == (whole, False)
    assert read(content[:-9])[1]
