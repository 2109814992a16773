"""One worker process, and a pipe to it that nobody else holds.

Nothing is shared with other workers, no queue and no lock: whenever a process dies, even half-way
through its answer, its own pipe ends and tells, and no other worker is concerned. Pools whose workers
share a pipe (pebble, `concurrent.futures`) stand still when one dies while it holds the pipe's lock.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

_CONTEXT = multiprocessing.get_context("spawn")
"""Forking a process that has threads and an event loop invites deadlocks."""

_READY = b"ready"

_START_SECONDS = 300.0
"""A worker that has not imported what it needs by then hangs."""

_END_SECONDS = 5.0
"""What was killed has ended long before, unless a device does not answer."""


class WorkerDied(Exception):
    """The process ended before it had answered."""


class TimeLimitExceeded(Exception):
    """The process was ended because its answer took too long."""


class ComputationFailed(Exception):
    """The function raised; the message is the error's kind and text, the cause its traceback."""


class RemoteTraceback(Exception):
    """Where in a worker something was raised, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class WorkerProcess:
    """A started process that computes one request at a time; to be used by one thread at a time."""

    def __init__(self, prepare: Sequence[Callable[[], object]]) -> None:
        """Start it; it is ready when all of `prepare`, found by their names, have returned there."""
        self.prepared = len(prepare)
        """How many of the pool's preparations it has been through."""
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, os.getpid(), prepare), daemon=True)
        try:
            self._process.start()
        finally:
            theirs.close()  # once the process alone holds this end, its death ends the pipe

    def wait_until_ready(self) -> None:
        """Raises WorkerDied."""
        with self._killed_after(_START_SECONDS):
            self._receive()

    def prepare(self, more: Sequence[Callable[[], object]]) -> None:
        """Have it call what a later start would have called. Raises as `ask`, and what pickling raises."""
        answer_from(self.ask(request_bytes(_call_all, tuple(more)), _START_SECONDS))
        self.prepared += len(more)

    def is_idle(self) -> bool:
        """Whether a request can be sent: it lives, and has nothing to say."""
        return self._process.is_alive() and not self._pipe.poll()

    def ask(self, request: bytes, limit_seconds: float) -> bytes:
        """The pickled answer to a pickled request.

        Raises:
            TimeLimitExceeded: It was killed for that.
            WorkerDied: For another reason.
        """
        with self._killed_after(limit_seconds) as is_late:
            try:
                with contextlib.suppress(BrokenPipeError):  # receiving tells the same
                    self._pipe.send_bytes(request)
                return self._receive()
            except WorkerDied as error:
                if is_late.is_set():
                    raise TimeLimitExceeded from error
                raise

    def kill(self) -> None:
        """End it at once, from any thread; whoever waits for its answer learns of it."""
        self._process.kill()

    def end(self) -> None:
        """Kill it and let go of what belongs to it."""
        self.kill()
        self._process.join(_END_SECONDS)
        self._pipe.close()

    def _receive(self) -> bytes:
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self._process.join(_END_SECONDS)
            raise WorkerDied(_how_it_ended(self._process.exitcode)) from error

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        """Killing is what ends any waiting for the pipe, also half-way through a message."""
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            self.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield is_late
        finally:
            timer.cancel()


def request_bytes(function: Any, value: Any) -> bytes:
    """What a worker is to compute, pickled. Raises what pickling raises."""
    return pickle.dumps((function, value), pickle.HIGHEST_PROTOCOL)


def answer_from(data: bytes) -> Any:
    """What the function returned. Raises ComputationFailed, and what unpickling raises."""
    is_answer, value = pickle.loads(data)  # noqa: S301 - a process of our own wrote it
    if is_answer:
        return value
    message, where = value
    raise ComputationFailed(message) from RemoteTraceback(where)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "its pipe closed"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-exit_code).name
    return f"signal {-exit_code}"


# --- in the worker process ----------------------------------------------------------------------------


def _serve(pipe: Connection, parent: int, prepare: Sequence[Callable[[], object]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the service's to handle
    threading.Thread(target=_end_with_parent, args=[parent], daemon=True).start()
    for each in prepare:
        each()
    with contextlib.suppress(EOFError, OSError):  # the service has closed its end, or is gone
        pipe.send_bytes(_READY)
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _call_all(functions: Sequence[Callable[[], object]]) -> None:
    for each in functions:
        each()


def _answer(request: bytes) -> bytes:
    try:
        function, value = pickle.loads(request)  # noqa: S301 - the service wrote it
        return pickle.dumps((True, function(value)), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # SystemExit, too, is this request's failure and nobody else's
        failure = f"{type(error).__name__}: {error}", traceback.format_exc()
        return pickle.dumps((False, failure), pickle.HIGHEST_PROTOCOL)


def _end_with_parent(parent: int) -> None:
    """A killed service cannot tell its workers; they look themselves."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
