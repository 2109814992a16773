"""What a driver wrote: its last lines, and the reason of a failure among them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from submission.causes import fitted, java_causes
from submission.log_lines import lines_of, told_lines

_MOST_BYTES = 4 << 20
_SECRET_KEY = re.compile(r"(?i)secret|password|token|access[._]?key|credential")
# Possessive, and from the beginning of a name only: a log may hold long lines, and `re` holds the GIL.
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)(?<![\w.-])(?=[\w.-]*?(?:secret|password|token|access[._]?key|credential))"
    r"([\w.-]++\s*+[=:]\s*+)\S++"
)
_SECRET_USER_INFO = re.compile(r"(\w://[^/\s:@]*:)[^/\s@]+@")

_LOGGED = re.compile(r"^\S+ \S+ (?:TRACE|DEBUG|INFO|WARN) |^\S+ (?:TRACE|DEBUG|INFO|WARN) ")


def read_tail(path: Path, lines: int, most_bytes: int = _MOST_BYTES) -> str | None:
    """The last lines of a file (None: no such file); of very long lines only the end."""
    found = _read_end(path, most_bytes)
    if found is None:
        return None
    content, _ = found
    kept = lines_of(content.decode(errors="replace"), keepends=True)[-lines:] if lines else []
    return "".join(kept)


def read_start(path: Path, lines: int, most_bytes: int = _MOST_BYTES) -> tuple[list[str], int] | None:
    """The last whole lines of a file that grows, and the position after them (None: no such file)."""
    found = _read_end(path, most_bytes)
    if found is None:
        return None
    content, size = found
    whole, end, rest = content.rpartition(b"\n")
    shown = told_lines(whole + end)[-lines:] if lines else []
    return shown, size - len(rest)


def _read_end(path: Path, most_bytes: int) -> tuple[bytes, int] | None:
    """The last bytes of a file, and its size (None: no such file)."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            return file.read(most_bytes), size
    except FileNotFoundError:
        return None


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
    starts = [
        number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")
    ]
    if not starts:
        return []
    message = next((line for line in lines[starts[-1] + 1 :] if not line[0].isspace()), None)
    return [message] if message else []


def _last_words(lines: list[str]) -> list[str]:
    errors = [line for line in lines if re.search(r"\b(ERROR|FATAL)\b|^Error: ", line)]
    return errors[-2:] or [line for line in lines if not _LOGGED.match(line)][-3:] or lines[-2:]
