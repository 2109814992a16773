"""Processes whose guard has gone before them, found by what they were started with."""

import contextlib
import os
from collections.abc import Iterable

import psutil


def end_left_over(argument: str, grace_seconds: float) -> int:
    """End processes of this user that were started with an argument, and what they started; takes a moment.

    Sessions of theirs end whole: what they started stays in them when they are gone.

    Args:
        argument: One that no other process has, such as the path of a file.
        grace_seconds: Between asking and killing.
    Returns:
        How many were found.
    """
    found = _with(argument)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=grace_seconds)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_seconds)
    return len(found)


def _with(argument: str) -> list[psutil.Process]:
    roots = [process for process in _own() if _has(process, argument)]
    sessions = {_session(process) for process in roots} - {None, os.getsid(0)}
    found = dict.fromkeys(roots)
    for process in roots:
        with contextlib.suppress(psutil.Error):
            found |= dict.fromkeys(process.children(recursive=True))
    found |= dict.fromkeys(process for process in _own() if _session(process) in sessions)
    return list(found)


def _own() -> Iterable[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.uids().real == os.getuid():
                yield process


def _has(process: psutil.Process, argument: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return argument in process.cmdline()
    return False


def _session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getsid(process.pid)
    return None
