"""What the child processes of trainings have in common, on the side of the service."""

import asyncio
import json
import logging
import shutil
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


async def read_events(stream: asyncio.StreamReader, add: Callable[[dict[str, Any]], None]) -> None:
    """Hand on the child's events until it closes its output; lines that are none are skipped."""
    recent: deque[str] = deque(maxlen=5)
    while line := await stream.readline():
        text = line.decode(errors="replace").rstrip()
        try:
            add(json.loads(text))
        except (ValueError, KeyError, AttributeError, TypeError):
            recent.append(text)  # a library printed to standard output
    if recent:
        logger.debug("Output of a training that is no event: %s", list(recent))


def write_request(folder: Path, request: dict[str, Any]) -> None:
    """Start a folder anew with this request in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps(request, allow_nan=False))


def read_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def tail(path: Path, characters: int = 1500) -> str:
    """The end of a log; empty where there is none."""
    try:
        return path.read_text(errors="replace")[-characters:].strip()
    except OSError:
        return ""


def was_killed(code: int) -> bool:
    """Whether a guarded child, or its guard, ended by SIGKILL, by its exit code."""
    return code in (128 + signal.SIGKILL, -signal.SIGKILL)


def how_it_was_killed(last_words: str) -> str:
    """What is known of a child that was killed, which could not say why.

    Args:
        last_words: The end of its log; may be empty.
    """
    told = f"; the last it wrote: {last_words}" if last_words else ""
    return (
        "its process was killed from outside (SIGKILL): most likely the machine, or the container's limit,"
        f" had no memory left{told}"
    )
