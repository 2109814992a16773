"""The program's process: its surroundings, its limits, and why it was ended where it was."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from submission.launcher import processes
from submission.launcher.files import size_of
from submission.launcher.log import Budget, Stream

TIMED_OUT = 124
"""Exit code, as `timeout` has it."""

LIMITED = 125

_LOOK_SECONDS = 0.25
_DISK_SECONDS = 2.0
_GRACE_SECONDS = 5.0
_MOST_FILES = 200_000
"""In a program's folders; they cost a disk its inodes."""


@dataclass(frozen=True)
class Limits:
    """What a program may take."""

    time_seconds: float
    disk_bytes: int
    processes: int
    """Threads included."""
    log_bytes: int


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    exit_code: int
    """128 and the signal's number where a signal ended it."""
    reason: str = ""
    """Why it was ended, where it was not its own doing."""


class Program:
    """A program that runs below this process."""

    def __init__(
        self, command: Sequence[str], cwd: Path, folder: Path, environment: Mapping[str, str], limits: Limits
    ) -> None:
        """Start it.

        Args:
            cwd: Where its files lie.
            folder: Holds all folders of it, whose size is limited.
        """
        self._limits = limits
        self._folder = folder
        self.budget = Budget(limits.log_bytes)
        self._stopped = ""
        self._started_at = time.monotonic()
        processes.adopt_orphans()
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=self._limit,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._streams = (
            Stream(self._process.stdout, sys.stdout.buffer, self.budget),
            Stream(self._process.stderr, sys.stderr.buffer, self.budget),
        )
        for stream in self._streams:
            stream.start()

    def stop(self, reason: str) -> None:
        """Let it be ended; what is asked first counts."""
        self._stopped = self._stopped or reason

    def wait(self, look: Callable[[], None]) -> Ended:
        """Attend to it until it, and all that it started, has ended.

        Args:
            look: Called a few times a second.
        """
        next_disk = 0.0
        broken, code = "", LIMITED
        while self._process.poll() is None and not self._stopped and not broken:
            look()
            now = time.monotonic()
            if now - self._started_at > self._limits.time_seconds:
                broken, code = f"it ran for longer than {self._limits.time_seconds:g} seconds", TIMED_OUT
            elif (count := sum(processes.descendants().values())) > self._limits.processes:
                broken = f"it had {count:,} processes and threads, of {self._limits.processes:,} that it may"
            elif now >= next_disk:
                next_disk = now + _DISK_SECONDS
                broken = self._too_large()
            if not broken:
                self._wait_a_moment()
        if not broken and not self._stopped and self._process.returncode == 0:
            broken = self._too_large()
        ended = self._end(self._stopped or broken)
        if broken and not self._stopped:
            return Ended(code, f"The program was ended: {broken}.")
        return Ended(ended, self._stopped)

    def _wait_a_moment(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LOOK_SECONDS)

    def _too_large(self) -> str:
        size, files = size_of(self._folder, self._limits.disk_bytes, _MOST_FILES)
        if size > self._limits.disk_bytes:
            return f"its folders hold more than {self._limits.disk_bytes:,} bytes (PROGRAM_DISK_MAX_BYTES)"
        return f"its folders hold more than {_MOST_FILES:,} files" if files > _MOST_FILES else ""

    def _end(self, why: str) -> int:
        if why:
            processes.end_descendants(self._process, _GRACE_SECONDS)
        code = self._process.wait()
        processes.end_descendants(self._process, 0.0)  # what it has left behind: its pipes would never end
        for stream in self._streams:
            stream.join(_GRACE_SECONDS)
        for stream in self._streams:
            stream.write_end()
        return code if code >= 0 else 128 - code

    def _limit(self) -> None:
        """In the child, before the program: what the kernel itself can refuse."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _lower(resource.RLIMIT_FSIZE, self._limits.disk_bytes)
        # Ignored, as Python does it: who fills a file gets an error, and does not vanish.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def surroundings(folder: Path, python: str | None) -> dict[str, str]:
    """The variables that a program finds beside its own folders.

    Args:
        folder: Of this run; temporary files go below it.
        python: What executors run; None: what they would run anyway.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONUNBUFFERED": "1"}
    if python is not None:
        environment["PYSPARK_PYTHON"] = python
    return environment
