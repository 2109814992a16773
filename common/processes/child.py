"""What the child processes of trainings have in common, on their side.

Events go to stdout, one JSON object per line and nothing else. Exit code 0 after a result, 1 after
an error event, 143 when terminated.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

Emit = Callable[[dict[str, Any]], None]


class WorthAnotherAttempt(Exception):
    """What failed lies outside of the child, and may be back soon."""


def run_child(arguments: list[str], work: Callable[[Path, Emit], None]) -> int:
    """Do the work in the folder that the only argument names; returns the exit code."""
    write = _private_stdout()
    terminated_by: list[int] = []

    def emit(event: dict[str, Any]) -> None:
        if terminated_by:  # and what was raised then got lost: callbacks from below Python swallow it
            raise SystemExit(128 + terminated_by[0])
        write(event)

    def terminate(signum: int, frame: FrameType | None) -> None:
        terminated_by.append(signum)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, terminate)
    if len(arguments) != 1:
        emit({"event": "error", "message": "expected one argument: the folder of the request"})
        return 1
    try:
        work(Path(arguments[0]), emit)
    except BaseException as error:  # the parent must hear about every failure
        if terminated_by:  # which libraries in between may turn into errors, or exit codes, of their own
            return 128 + terminated_by[0]
        if not isinstance(error, Exception):
            raise
        again = isinstance(error, WorthAnotherAttempt)
        emit({"event": "error", "message": f"{type(error).__name__}: {error}", "again": again})
        return 1
    return 128 + terminated_by[0] if terminated_by else 0


def _private_stdout() -> Emit:
    """Keep stdout for events: whatever else prints, in Python or below, goes to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def emit(event: dict[str, Any]) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    return emit
