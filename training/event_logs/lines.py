"""Lines of an event log: those that are wanted as values, all others counted."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from training.event_logs.compression import CutShort

Event = dict[str, Any]

_MOST_LINE_BYTES = 32 << 20
"""Of a line that is wanted; as values it takes several times as much. Plans of queries make longer ones,
which are skipped unread."""

_BEGINNING_BYTES = 1024
"""Of a line, with the name of its event."""

_NAME = re.compile(rb'\s*\{\s*"Event"\s*:\s*"([^"\\]{1,300})"')
_BLANK = b" \t\r\n\0"
"""Disks that lose their power leave the last of these behind."""

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
                if line.strip(_BLANK):
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
        begun = _Begun(self._wanted)
        try:
            for piece in pieces:
                self.read_bytes += len(piece)
                first, *others = piece.split(b"\n")
                begun.add(first)
                if not others:
                    continue
                yield from self._whole(begun)
                yield from others[:-1]
                begun = _Begun(self._wanted)
                begun.add(others[-1])
        except CutShort as error:
            self.cut = str(error)
        yield from self._whole(begun)

    def _whole(self, begun: "_Begun") -> Iterator[bytes]:
        if begun.is_too_long:
            self.damaged += 1
        else:
            yield begun.taken()


class _Begun:
    """A line that has begun, in pieces; of one that nobody wants no more than its beginning."""

    def __init__(self, wanted: frozenset[bytes]) -> None:
        self._wanted = wanted
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_looked_at = self._is_unwanted = False
        self.is_too_long = False

    def add(self, piece: bytes) -> None:
        """Take in what comes next of it."""
        if self._is_unwanted or self.is_too_long:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if not self._is_looked_at and self._size >= _BEGINNING_BYTES:
            self._is_looked_at = True
            self._pieces = [self.taken()]
            name = _NAME.match(self._pieces[0])
            if name is not None and name[1] not in self._wanted:
                self._is_unwanted, self._pieces = True, [self._pieces[0][:_BEGINNING_BYTES]]
        if self._size > _MOST_LINE_BYTES and not self._is_unwanted:
            self._pieces, self.is_too_long = [], True

    def taken(self) -> bytes:
        """What is kept of it, which is not kept here any more."""
        content = b"".join(self._pieces)
        self._pieces = []
        return content
