"""What a program says of itself: lines of JSON in ENEL_PROGRESS_FILE, read as they come."""

import json
import math
from pathlib import Path
from typing import Any

from submission.launcher.files import open_regular

_MOST_BYTES = 256 << 10
"""That one look reads."""

_LONGEST_LINE = 16 << 10
_MOST_METRICS = 32
_LONGEST_TEXT = 500


class ProgressFile:
    """Reads on where it stopped; lines that nobody can read are counted, and harm nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""
        self._is_too_long = False
        self.unreadable = 0
        self.goes_on = False
        """Whether there may be more than the last look has read."""

    def further(self, *, is_last: bool = False) -> list[dict[str, Any]]:
        """What was written since, line by line, as far as one look reads.

        Args:
            is_last: Nothing more is written: a last line without its end is one, too.
        """
        self.goes_on = False
        try:
            with open_regular(self._path) as file:
                file.seek(self._position)
                content = file.read(_MOST_BYTES)
        except OSError:
            return []
        self._position += len(content)
        self.goes_on = len(content) == _MOST_BYTES
        *lines, rest = (self._rest + content).split(b"\n")
        if is_last and not self.goes_on and rest:
            lines, rest = [*lines, rest], b""
        if self._is_too_long and lines:
            lines, self._is_too_long = lines[1:], False  # the end of a line that was counted already
        if len(rest) > _LONGEST_LINE:
            self.unreadable += not self._is_too_long
            self._is_too_long, rest = True, b""
        self._rest = rest
        return [said for line in lines if (said := self._read(line)) is not None]

    def _read(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        try:
            if len(line) > _LONGEST_LINE:
                raise ValueError
            said = _cleaned(json.loads(line))
        except (ValueError, RecursionError):
            said = {}
        if not said:
            self.unreadable += 1
            return None
        return said


def _cleaned(line: Any) -> dict[str, Any]:
    """What is known of a line, in its bounds; the rest is left out."""
    if not isinstance(line, dict):
        return {}
    said: dict[str, Any] = {}
    if (share := _number(line.get("progress"))) is not None:
        said["progress"] = min(max(share, 0.0), 1.0)
    if (step := _number(line.get("step"))) is not None:
        said["step"] = step
    for name in ("message", "data"):
        if isinstance(text := line.get(name), str) and text.strip():
            said[name] = _as_utf8(text.strip()[:_LONGEST_TEXT])
    if isinstance(metrics := line.get("metrics"), dict):
        numbers = {
            _as_utf8(name[:100]): _number(value) for name, value in list(metrics.items())[:_MOST_METRICS]
        }
        if kept := {name: value for name, value in numbers.items() if value is not None}:
            said["metrics"] = kept
    if line.get("heartbeat"):
        said["heartbeat"] = True
    return said


def _as_utf8(text: str) -> str:
    """Half a surrogate pair, which JSON can say and nobody can store, becomes a question mark."""
    return text.encode(errors="replace").decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
