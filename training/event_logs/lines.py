"""Lines of an event log: those that are wanted as values, all others counted."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from training.event_logs.compression import CutShort

Event = dict[str, Any]

_MOST_LINE_BYTES = 128 << 20
"""Plans of queries make lines of megabytes."""

_NAME = re.compile(rb'\s*\{\s*"Event"\s*:\s*"([^"\\]{1,300})"')
_KINDS_COUNTED = 200
_OTHERS = "others"


class EventLines:
    """The events of a log, in one pass.

    Attributes:
        skipped: How many of each kind were not wanted, by name.
        damaged: Lines that are no JSON, or too long; the last one of a log that was cut is among them.
        cut: Why the log cannot be read to its end, or "".
        read_bytes: So far, decompressed.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        """Args: wanted: Names of events, as the log has them."""
        self._wanted = frozenset(name.encode() for name in wanted)
        self.skipped: Counter[str] = Counter()
        self.damaged = 0
        self.cut = ""
        self.read_bytes = 0

    def events(self, pieces: Iterable[bytes]) -> Iterator[Event]:
        """Those that are wanted, in their order. Raises UnreadableLog as `compression.plain` does."""
        for line in self._lines(pieces):
            name = _NAME.match(line)
            if name is None:
                if line.strip():
                    self.damaged += 1
                continue
            if name[1] not in self._wanted:
                self._skip(name[1].decode("utf-8", "replace"))
                continue
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                self.damaged += 1
                continue
            yield event

    def _skip(self, name: str) -> None:
        known = name in self.skipped or len(self.skipped) < _KINDS_COUNTED
        self.skipped[name if known else _OTHERS] += 1

    def _lines(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        rest: list[bytes] = []
        waiting = 0
        is_too_long = False
        try:
            for piece in pieces:
                self.read_bytes += len(piece)
                first, *others = piece.split(b"\n")
                if not is_too_long:
                    rest.append(first)
                    waiting += len(first)
                if waiting > _MOST_LINE_BYTES:
                    rest, waiting, is_too_long = [], 0, True
                if not others:
                    continue
                if is_too_long:
                    self.damaged += 1
                else:
                    yield b"".join(rest)
                yield from others[:-1]
                rest, waiting, is_too_long = [others[-1]], len(others[-1]), False
        except CutShort as error:
            self.cut = str(error)
        if rest and not is_too_long:
            yield b"".join(rest)
