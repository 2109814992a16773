"""Processes of a program: all that descend from this one, also where their parents have ended."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")
_KILL_SECONDS = 5.0


def adopt_orphans() -> None:
    """On Linux, let those whose parents end become ours, so that they are still found."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> dict[int, int]:
    """Process ids with the number of their threads; empty where there is no /proc."""
    parents: dict[int, int] = {}
    threads: dict[int, int] = {}
    for pid in _pids():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()  # a name in brackets may hold anything
        parents[pid], threads[pid] = int(fields[1]), int(fields[17])
    own = os.getpid()
    found: dict[int, int] = {}
    for pid in parents:
        line, at = [], pid
        while at in parents and at != own and at not in line:
            line.append(at)
            at = parents[at]
        if at == own and pid != own:
            found[pid] = threads[pid]
    return found


def end_descendants(program: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """Ask all of them to end, and after the grace period kill what is left, however fast it multiplies.

    Args:
        program: Started by this process itself; how it ended is left for it to say.
    """
    signal_all(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while _reap(program) and time.monotonic() < deadline:
        time.sleep(0.05)
    deadline = time.monotonic() + _KILL_SECONDS
    while _reap(program) and time.monotonic() < deadline:
        signal_all(signal.SIGSTOP)  # what stands still starts no further ones
        signal_all(signal.SIGKILL)
        time.sleep(0.01)


def signal_all(number: int) -> None:
    """Send a signal to every descendant."""
    for pid in descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _reap(program: "subprocess.Popen[bytes]") -> bool:
    """Collect what has ended of those that we adopted; returns whether any still runs."""
    program.poll()
    if sys.platform == "linux":
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid == program.pid:
                    program.poll()  # collected here, its exit code would be 0 for Popen
                else:
                    os.waitpid(ended.si_pid, os.WNOHANG)
    return bool(descendants())


def _pids() -> list[int]:
    try:
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []
