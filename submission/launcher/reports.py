"""Reports of a running program to the service: what it says of itself, and that it lives."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from submission.launcher.log import Budget, say
from submission.launcher.progress import ProgressFile
from submission.launcher.service import Away, Refused, Service

_CONFLICT = 409
_PAUSE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_MOST_LINES = 200
"""Of one report."""

_PATIENCE_SECONDS = 5.0
_LAST_PATIENCE_SECONDS = 60.0


class Reports:
    """Sends while the program runs, in a thread: a service that is away holds up nobody."""

    def __init__(self, service: Service, attempt: int, progress: Path, log: Budget) -> None:
        self._service = service
        self._attempt = attempt
        self._progress = ProgressFile(progress)
        self._log = log
        self._waiting: list[dict[str, Any]] = []
        self._under_way: list[dict[str, Any]] = []
        """What the present report says; sent again as it is, since the service may have stored it."""
        self._sequence = 0
        self._said_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.superseded = ""
        """Why the program has no reason to go on, where it has none: the run is another driver's by now, or
        has ended."""

    def __enter__(self) -> "Reports":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        sent_at = 0.0
        while not self._over.wait(_PAUSE_SECONDS):
            self._look()
            now = time.monotonic()
            if self._waiting or self._under_way or now - sent_at >= _HEARTBEAT_SECONDS:
                self._send(_PATIENCE_SECONDS)
                sent_at = now
        self._look(is_last=True)
        while self._send(_LAST_PATIENCE_SECONDS) and (self._waiting or self._under_way):
            pass

    def _look(self, *, is_last: bool = False) -> None:
        while True:
            if further := self._progress.further(is_last=is_last):
                self._said_at = time.monotonic()
                # While the service is away, the latest of what a program says is worth the most.
                self._waiting = [*self._waiting, *further][-10 * _MOST_LINES :]
            if not is_last or not self._progress.goes_on:
                return

    def _send(self, patience_seconds: float) -> bool:
        """Whether the service has taken it."""
        now = time.monotonic()
        if not self._under_way:
            self._under_way = self._waiting[:_MOST_LINES]
            self._waiting = self._waiting[_MOST_LINES:]
        report = {
            "attempt": self._attempt,
            "sequence": self._sequence,
            "lines": self._under_way,
            "unreadable_lines": self._progress.unreadable,
            "silent_seconds": max(0.0, now - max(self._said_at, self._log.last_at)),
            "log_bytes": self._log.written,
        }
        try:
            self._service.post("progress", report, patience_seconds=patience_seconds)
        except Away:
            if not self._under_way:
                # It may be stored all the same; lines that come now are not to be taken for the same report.
                self._sequence += 1
            return False
        except Refused as error:
            if error.status == _CONFLICT:
                self.superseded = str(error)
                return False
            say(f"a report was refused: {error}")  # no reason to end a program
        self._sequence += 1
        self._under_way = []
        return True
