"""A driver's log by the numbers of its lines, which stay the same however the log grows.

Whoever asks again and again from where the last answer ended gets every line once. What has no end yet is
told when it has one, or when the driver has ended; a very long line is told in several, cut where its
bytes alone say, so that the cuts are the same for everybody.
"""

from dataclasses import dataclass
from typing import IO

LINE_BYTES = 16 << 10
"""Of a line; what is longer counts as several."""

ANSWER_BYTES = 1 << 20
ANSWER_LINES = 10_000
"""Of an answer; with bytes, no line begins after so many."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class Mark:
    """Where in a log a line begins."""

    number: int = 0
    position: int = 0
    """Bytes before it."""


@dataclass(frozen=True)
class NumberedLines:
    """Lines one after another, without their ends."""

    lines: list[str]
    next: int
    """Number of the line after them."""
    finished: bool
    """Whether there is none after them, and never will be."""


def lines_from(
    log: IO[bytes], offset: int, *, ended: bool, mark: Mark = Mark(), most_bytes: int = ANSWER_BYTES
) -> tuple[NumberedLines, Mark]:
    """What is told of a log from a line on, and where to go on reading.

    Args:
        offset: Number of the first line that is wanted; the first of all is 0.
        ended: Whether nothing is written any more.
        mark: The beginning of any line up to that one, to read on from.
        most_bytes: Of an answer's lines; the last one may go beyond.
    """
    log.seek(mark.position)
    number, position, rest = mark.number, mark.position, b""
    lines: list[str] = []
    size = 0
    while True:
        piece = log.read(_PIECE)
        rest += piece
        begins = 0
        while (cut := _cut(rest, begins, is_all=ended and not piece)) is not None:
            if size >= most_bytes or len(lines) >= ANSWER_LINES:
                return NumberedLines(lines, number, finished=False), Mark(number, position)
            ends, goes_on = cut
            if number >= offset:
                lines.append(rest[begins:ends].decode(errors="replace"))
                size += ends - begins + 1
            number, position, begins = number + 1, position + goes_on - begins, goes_on
        rest = rest[begins:]
        if not piece:
            return NumberedLines(lines, max(number, offset), finished=ended), Mark(number, position)


def _cut(text: bytes, begins: int, *, is_all: bool) -> tuple[int, int] | None:
    """Where a line ends and the next one begins; None where that cannot be said yet."""
    longest = begins + LINE_BYTES
    if (ends := text.find(b"\n", begins, longest + 1)) >= 0:
        return ends, ends + 1
    if len(text) > longest:
        while longest > begins + LINE_BYTES - 4 and text[longest] & 0xC0 == 0x80:
            longest -= 1  # no character is cut in two
        return longest, longest
    if is_all and begins < len(text):
        return len(text), len(text)
    return None
