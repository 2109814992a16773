"""What is a line of a driver's log: the same for who reads its end, follows it, or asks by numbers.

A line ends with a line feed, a carriage return, or both. So of a bar that draws itself anew all the time, and
has no line end, something is told before its end. Everything else that Unicode takes for the end of a line,
as U+2028 and form feeds are, is text. Of a very long line the beginning is told, and how long it is.

Numbers of lines stay the same however a log grows: whoever asks again and again from where the last answer
ended gets every line once. What has no end yet is told when it has one, or when the driver has ended.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

LINE_BYTES = 16 << 10
"""Of a line; of what is longer the beginning is told."""

ANSWER_BYTES = 1 << 20
ANSWER_LINES = 10_000
"""Of an answer; with bytes, no line begins after so many."""

_PIECE = 1 << 20


_ENDINGS = re.compile(r"\r\n|\n|\r")
_BYTE_ENDINGS = re.compile(rb"\r\n|\n|\r")


def lines_of(text: str, *, keepends: bool = False) -> list[str]:
    """Lines of a log: what has an end, and what comes after the last one."""
    lines, begins = [], 0
    for ending in _ENDINGS.finditer(text):
        lines.append(text[begins : ending.end() if keepends else ending.start()])
        begins = ending.end()
    return [*lines, text[begins:]] if begins < len(text) else lines


def told_text(text: str) -> str:
    """A log with the lines as they are told, and with their ends."""
    if len(text) <= LINE_BYTES // 4:  # four bytes are the most that a character takes
        return text
    return "".join(line + end for line, end in ended_lines(io.BytesIO(text.encode("utf-8", "replace"))))


def ended_lines(log: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Lines of a log from where it stands on, as they are told, and their ends; never one of them whole."""
    line, returns = _Begun(LINE_BYTES), _Returns()
    while piece := log.read(_PIECE):
        content, begins = returns.feed(piece), 0
        for ending in _BYTE_ENDINGS.finditer(content):
            line.begin(content[begins : ending.start()])
            yield told_line(*line.end()), ending[0].decode()
            begins = ending.end()
        line.begin(content[begins:])
    if returns.held or line.size:
        yield told_line(*line.end()), returns.held.decode()


class _Begun:
    """A line that has begun: its beginning, and its size."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._content = bytearray()
        self.size = 0
        """As far as it was read, with what is left out."""

    def begin(self, piece: bytes) -> None:
        self._content += piece[: self._most_bytes - len(self._content)]
        self.size += len(piece)

    def end(self) -> tuple[bytes, int]:
        """Its beginning and size; another one begins."""
        found = bytes(self._content), self.size
        self._content, self.size = bytearray(), 0
        return found


class _Returns:
    """Holds back a return at the very end, of which it is not known whether a line feed follows."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, piece: bytes) -> bytes:
        """What has come without it, and after what was held back before."""
        content = self.held + piece
        self.held = b"\r" if content.endswith(b"\r") else b""
        return content.removesuffix(self.held)


def told_lines(content: bytes) -> list[str]:
    """Whole lines as they are told; what comes after the last end counts as one."""
    lines = _BYTE_ENDINGS.split(content)
    ended = lines if lines[-1] else lines[:-1]
    return [told_line(line, len(line)) for line in ended]


class ByteLines:
    """What line feeds end, out of whatever pieces it comes in; of what is longer the beginning."""

    def __init__(self, most_bytes: int) -> None:
        self._begun = _Begun(most_bytes)

    def feed(self, content: bytes) -> list[tuple[bytes, int]]:
        """Lines that have ended with this piece, and how many bytes each really has."""
        *ended, begun = content.split(b"\n")
        lines = [self._line(each) for each in ended]
        self._begun.begin(begun)
        return lines

    def end(self) -> list[tuple[bytes, int]]:
        """What has begun and has no end."""
        return [self._begun.end()] if self._begun.size else []

    def _line(self, ending: bytes) -> tuple[bytes, int]:
        self._begun.begin(ending)
        return self._begun.end()


class LineSplitter:
    """Lines of a log that is followed, as they are told."""

    def __init__(self) -> None:
        self._lines = ByteLines(LINE_BYTES)
        self._returns = _Returns()

    def feed(self, content: bytes) -> list[str]:
        """Lines that have ended with this piece."""
        whole = _BYTE_ENDINGS.sub(b"\n", self._returns.feed(content))
        return [told_line(*line) for line in self._lines.feed(whole)]

    def end(self) -> list[str]:
        """What has begun and has no end."""
        lines = self._lines.feed(b"\n") if self._returns.held else self._lines.end()
        return [told_line(*line) for line in lines]


def told_line(line: bytes, size_bytes: int) -> str:
    """A line as text; of one of more than LINE_BYTES the beginning, and its size."""
    if size_bytes <= LINE_BYTES:
        return line.decode(errors="replace")
    begun = line[:LINE_BYTES].decode(errors="ignore")
    return f"{begun} … (cut: the line has {size_bytes:,} bytes)"


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
    reading = _Numbered(mark, offset, most_bytes)
    returns = _Returns()
    while piece := log.read(_PIECE):
        if not reading.feed(returns.feed(piece)):
            return reading.found(finished=False)
    if ended and not (reading.feed(returns.held) and reading.end()):
        return reading.found(finished=False)
    return reading.found(finished=ended)


def beginning_of(log: IO[bytes], number: int) -> Mark:
    """Where the line of a number begins; where there is none yet, the end of the last line that has one."""
    log.seek(0)
    count, position, at = 0, 0, 0
    returns = _Returns()
    while count < number and (piece := log.read(_PIECE)):
        content = returns.feed(piece)
        for ending in _BYTE_ENDINGS.finditer(content):
            count, position = count + 1, at + ending.end()
            if count == number:
                break
        at += len(content)
    return Mark(count, position)


class _Numbered:
    """An answer that is being made."""

    def __init__(self, mark: Mark, offset: int, most_bytes: int) -> None:
        self._offset = offset
        self._most_bytes = most_bytes
        self._number = mark.number
        self._position = mark.position
        """Of the line that has begun."""
        self._begun = _Begun(LINE_BYTES)
        self._lines: list[str] = []
        self._told_bytes = 0

    def feed(self, content: bytes) -> bool:
        """Take in what comes next; whether there was room for it."""
        begins = 0
        for ending in _BYTE_ENDINGS.finditer(content):
            self._begun.begin(content[begins : ending.start()])
            if not self._end(ending.end() - ending.start()):
                return False
            begins = ending.end()
        self._begun.begin(content[begins:])
        return True

    def end(self) -> bool:
        """Nothing comes any more: what has begun has ended; whether there was room for it."""
        return not self._begun.size or self._end(0)

    def found(self, *, finished: bool) -> tuple[NumberedLines, Mark]:
        following = self._number if self._lines else max(self._number, self._offset)
        return NumberedLines(self._lines, following, finished), Mark(self._number, self._position)

    def _end(self, ending_bytes: int) -> bool:
        if self._told_bytes >= self._most_bytes or len(self._lines) >= ANSWER_LINES:
            return False
        content, size_bytes = self._begun.end()
        if self._number >= self._offset:
            self._lines.append(told_line(content, size_bytes))
            self._told_bytes += len(content) + 1
        self._number += 1
        self._position += size_bytes + ending_bytes
        return True
