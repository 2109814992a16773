"""Child processes that end with the service, and how services tell each other apart."""

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

import psutil

from common.processes import guard

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class GuardedProcess:
    """A command under `common.processes.guard`: it ends when it is stopped, and when the service dies."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        *command: str,
        stdout: int | IO[bytes] | None = asyncio.subprocess.DEVNULL,
        stderr: int | IO[bytes] | None = asyncio.subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_seconds: float = 10.0,
        line_limit_bytes: int = 1 << 20,
    ) -> Self:
        """Start `command`; `stdout` and `stderr` are as in `asyncio.create_subprocess_exec`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(guard.__file__)),
            "--grace",
            str(grace_seconds),
            "--",
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            start_new_session=True,
            limit=line_limit_bytes,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Of the guard; the command is its child."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Of the command (128 + signal number where a signal ended it); None while it runs."""
        return self._process.returncode

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None, "started without stdout=PIPE"
        return self._process.stdout

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self) -> int:
        """End the command and everything it started; returns when all of it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        return await self._process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def service_identity() -> str:
    """Host, process id and process start: another process never has the same, whatever clocks are set."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{_start(process)}"


def _start(process: psutil.Process) -> str:
    """When it started, in seconds since the boot, and which boot that was.

    The time of day is no identity: psutil adds the time of the boot, which the kernel moves with the
    wall clock, so that a service that lives seemed to be another one once the clock was set.
    """
    booted_at = psutil.boot_time()
    try:
        boot = _BOOT_ID.read_text()[:8]
    except OSError:  # not on Linux
        boot = f"{booted_at:.0f}"
    return f"{process.create_time() - booted_at:.2f}@{boot}"


def owner_is_dead(owner: str) -> bool:
    """Whether an owner on this host is known not to run any more."""
    host, pid, created = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        return _start(psutil.Process(int(pid))) != created
    except psutil.NoSuchProcess:
        return True
