"""What a driver wrote: its last lines, and the reason of a failure among them."""

import io
import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from submission.causes import fitted, java_causes
from submission.log_lines import ended_lines, lines_of

_MOST_BYTES = 4 << 20
_PIECE = 1 << 20
_MOST_SCANNED_BYTES = 256 << 20
"""Looked through for the beginnings of lines; a longer one is told without what lies before."""
_SECRET_KEY = re.compile(r"(?i)secret|password|token|access[._]?key|credential")
# Possessive, and from the beginning of a name only: a log may hold long lines, and `re` holds the GIL.
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)(?<![\w.-])(?=[\w.-]*?(?:secret|password|token|access[._]?key|credential))"
    r"([\w.-]++\s*+[=:]\s*+)\S++"
)
_SECRET_USER_INFO = re.compile(r"(\w://[^/\s:@]*:)[^/\s@]+@")

_LOGGED = re.compile(r"^\S+ \S+ (?:TRACE|DEBUG|INFO|WARN) |^\S+ (?:TRACE|DEBUG|INFO|WARN) ")
_BANNER = re.compile(
    r"WARNING: |(?:OpenJDK|Java HotSpot)\b.*\bwarning: |(?:NOTE: )?Picked up |SLF4J|log4j:|:: "
    r"|Using Spark's default log4j |(?:Setting|Adjusting) .*log level|To adjust logging level "
)
"""What the JVM and its libraries write before any program, however that ends."""
_PYTHON_ERROR = re.compile(r'Traceback \(most recent call last\)|  File ".*", line [0-9]+$')
"""A file that does not parse has no traceback."""
_PY4J = re.compile(r"py4j\.protocol\.Py4JJavaError: An error occurred while calling ")
_IN_AN_EXECUTOR = "PythonException: Traceback (most recent call last)"


def read_tail(path: Path, lines: int, most_bytes: int = _MOST_BYTES) -> str | None:
    """The last lines of a file as they are told, with their ends (None: no such file).

    Args:
        most_bytes: Of the file that are told; of the first line then its end.
    """
    try:
        with path.open("rb") as file:
            file.seek(_beginning(file, file.seek(0, os.SEEK_END), lines))
            return "".join(_last(ended_lines(file), lines, most_bytes))
    except FileNotFoundError:
        return None


def read_start(path: Path, lines: int, most_bytes: int = _MOST_BYTES) -> tuple[list[str], int] | None:
    """The last whole lines of a file that grows, and the position after them (None: no such file)."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = _last_end(file, size)
            file.seek(_beginning(file, end, lines))
            shown = _last(ended_lines(_Until(file, end)), lines, most_bytes)
            return [line.rstrip("\r\n") for line in shown], end
    except FileNotFoundError:
        return None


class _Until(io.BytesIO):
    """A file as if it ended somewhere."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        super().__init__()
        self._file, self._end = file, end

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))


def _last(found: Iterable[tuple[str, str]], lines: int, most_bytes: int) -> list[str]:
    """The last lines with their ends, as many as fit."""
    kept = deque(found, maxlen=lines)
    left, shown = most_bytes, deque[str]()
    while kept and left > 0:
        text = "".join(kept.pop())
        left -= len(text.encode())
        shown.appendleft(text)
    if left < 0:
        shown[0] = shown[0].encode()[-left:].decode(errors="replace")
    return list(shown)


def _beginning(file: IO[bytes], end: int, lines: int) -> int:
    """A position from which on at least so many lines begin before an end, as far as is looked."""
    position = end
    while position > max(0, end - _MOST_SCANNED_BYTES) and lines >= 0:
        size = min(_PIECE, position)
        position -= size
        file.seek(position)
        piece = file.read(size)
        lines -= max(piece.count(b"\n"), piece.count(b"\r"))
    return position


def _last_end(file: IO[bytes], size: int) -> int:
    """The position after the last end of a line; a return at the very end may be half of one."""
    position = size
    while position > max(0, size - _MOST_SCANNED_BYTES):
        length = min(_PIECE, position)
        position -= length
        file.seek(position)
        piece = file.read(length)
        if position + length == size:
            piece = piece.removesuffix(b"\r")
        found = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        if found >= 0:
            return position + found + 1
    return position


def read_further(path: Path, position: int, most_bytes: int = _MOST_BYTES) -> bytes:
    """What was written since a position."""
    with path.open("rb") as file:
        file.seek(position)
        return file.read(most_bytes)


def failure_reason(log: str, spark_conf: Mapping[str, str]) -> str:
    """The lines of a driver log that tell best why it failed, without secrets; may be empty."""
    lines = [line.rstrip() for line in lines_of(log) if line.strip()]
    telling = _python_error(lines) or java_causes(lines) or _last_words(lines)
    return fitted([redact(line, spark_conf) for line in telling])


def redact(text: str, spark_conf: Mapping[str, str]) -> str:
    """Hide the values of secret Spark properties, and what looks like a secret by its name."""
    secrets = {value for key, value in spark_conf.items() if _SECRET_KEY.search(key) and len(value) > 3}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SECRET_USER_INFO.sub(r"\1***@", _SECRET_ASSIGNMENT.sub(r"\1***", text))


def _python_error(lines: list[str]) -> list[str]:
    """The message under the last traceback: its first line that is not indented."""
    starts = [number for number, line in enumerate(lines) if _PYTHON_ERROR.match(line)]
    if not starts:
        return []
    below = lines[starts[-1] + 1 :]
    at = next((number for number, line in enumerate(below) if not line[0].isspace()), None)
    if at is None:
        return []
    return _called_by_python(below[at + 1 :]) if _PY4J.match(below[at]) else below[at : at + 1]


def _called_by_python(lines: list[str]) -> list[str]:
    """What went wrong in Java, of the lines below Py4J's own, which names the call alone: an error of
    Python's in an executor, else Java's exception and its root cause."""
    if not lines or not lines[0].startswith(": "):
        return []
    nested = [number for number, line in enumerate(lines) if _IN_AN_EXECUTOR in line]
    for line in lines[nested[-1] + 1 :] if nested else ():
        if not line[0].isspace():
            return [line]
    return [lines[0].removeprefix(": "), *java_causes(lines)]


def _last_words(lines: list[str]) -> list[str]:
    errors = [line for line in lines if re.search(r"\b(ERROR|FATAL)\b|^Error: ", line)]
    return errors[-2:] or [line for line in lines if not (_LOGGED.match(line) or _BANNER.match(line))][-3:]
