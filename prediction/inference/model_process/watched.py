"""A model's process as seen by a thread that starts it, looks at it, and clears away what it leaves."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

import psutil

from prediction.inference.model_process.memory import exceeded_bytes, tree_of

_LOG_BYTES = 64 << 10
_LOOK_SECONDS = 0.2
_LOG_SECONDS = 0.5
"""How long the last output may take once the process has ended; who else holds the pipe is not waited for."""


class WatchedProcess:
    """A command in a process group of its own, with a socket to it.

    A thread of its own has it for as long as it lives: it looks at its memory, and whichever way it ends,
    kills what is left of the group. The command's own end of the socket and of the lifeline (see `host.py`)
    are its last two arguments.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        memory_limit_bytes: int,
        when_ended: Callable[[], None],
    ) -> None:
        """Start it.

        Args:
            when_ended: Called in a thread once it is gone, and all that it started.
        Raises:
            OSError: There is no such command.
        """
        self.socket, theirs = socket.socketpair()
        reading, self._lifeline = os.pipe()
        descriptors = (theirs.fileno(), reading)
        try:
            self._process = subprocess.Popen(
                [*command, *map(str, descriptors)],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=descriptors,
            )
        except BaseException:
            os.close(self._lifeline)
            self.socket.close()
            raise
        finally:
            theirs.close()
            os.close(reading)
        self._log = bytearray()
        self._limit = memory_limit_bytes
        self._when_ended = when_ended
        self.excess_bytes = 0
        """What it took in memory when it was killed for that."""
        self._reader = threading.Thread(target=self._read_log, name="model-log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, negative: a signal's number; None while it runs."""
        return self._process.returncode

    @property
    def log(self) -> str:
        """The last 64 KiB of its output."""
        return bytes(self._log).decode(errors="replace")

    def kill(self) -> None:
        """End it and all that it started; from any thread, returns at once."""
        if self._process.returncode is not None:
            return
        descendants = tree_of(self.pid)[1:]  # those that left the group are found only while it lives
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _watch(self) -> None:
        while True:
            try:
                self._process.wait(_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                excess = exceeded_bytes(self.pid, self._limit)
                if excess and not self.excess_bytes:
                    self.excess_bytes = excess
                    self.kill()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._reader.join(_LOG_SECONDS)
        os.close(self._lifeline)
        self._when_ended()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            while piece := os.read(output.fileno(), 1 << 16):
                self._log += piece
                del self._log[:-_LOG_BYTES]
