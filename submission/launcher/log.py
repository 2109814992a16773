"""What a program writes, passed on to the driver's log: as it comes, and only up to a limit."""

import contextlib
import sys
import threading
import time
from collections import deque
from typing import IO

_PIECE = 64 << 10
_KEPT_BYTES = 64 << 10
"""Of what is dropped, the end."""


class Budget:
    """What both streams of a program may write together."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._lock = threading.Lock()
        self.written = 0
        """Bytes, passed on or not."""
        self.last_at = time.monotonic()
        """When anything was written."""

    def take(self, size: int) -> int:
        """How much of so many bytes may be passed on."""
        with self._lock:
            self.written += size
            self.last_at = time.monotonic()
            taken = min(size, self._left)
            self._left -= taken
            return taken


class Stream(threading.Thread):
    """One stream of a program; ends with it."""

    def __init__(self, source: IO[bytes], target: IO[bytes], budget: Budget) -> None:
        super().__init__(daemon=True)
        self._source, self._target, self._budget = source, target, budget
        self._end: deque[bytes] = deque()
        self._end_bytes = 0
        self.dropped = 0

    def run(self) -> None:
        """Pass on what comes."""
        while piece := self._source.read1(_PIECE):  # type: ignore[attr-defined]
            taken = self._budget.take(len(piece))
            if taken:
                self._target.write(piece[:taken])
                self._target.flush()
            if rest := piece[taken:]:
                if not self.dropped:
                    say("the program writes more than PROGRAM_LOG_MAX_BYTES; only the end of it will follow.")
                self.dropped += len(rest)
                self._end.append(rest)
                self._end_bytes += len(rest)
                while self._end_bytes - len(self._end[0]) >= _KEPT_BYTES:
                    self._end_bytes -= len(self._end.popleft())

    def write_end(self) -> None:
        """Pass on the end of what was dropped."""
        if self.dropped:
            end = b"".join(self._end)[-_KEPT_BYTES:]
            say(f"{self.dropped - len(end):,} bytes were dropped; this is the end:")
            self._target.write(end)
            self._target.flush()


def say(text: str) -> None:
    """Write a line of the launcher's own to the driver's log."""
    with contextlib.suppress(OSError):  # where a disk is full, the log's may be, too
        sys.stderr.write(f"enel: {text}\n")
        sys.stderr.flush()
