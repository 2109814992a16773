"""Worker processes for whatever computes longer than an event loop may wait.

A request has two limits: of the time that it runs, after which its worker is killed and replaced; and
of the time that its caller waits for everything together, a free worker included. A worker that dies,
idle or at work, is replaced; what it had not answered is tried once more, and no other request notices.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from common.errors import ServiceError
from prediction.serving.worker_process import (
    ComputationFailed,
    TimeLimitExceeded,
    WorkerDied,
    WorkerProcess,
    answer_from,
    request_bytes,
)

logger = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")

_ATTEMPTS = 2
"""A worker that dies may have been killed by anybody; after the second one the request is suspected."""

_DEADLINE_SECONDS = 120.0


class WorkerFailed(ServiceError):
    """The computation took too long, raised, or its process died; or no worker was free in time."""

    status, title = 500, "The computation failed"


@dataclass
class PoolCounts:
    """What went wrong since the service started."""

    replacements: int = 0
    """Workers that died or were killed, whatever the reason, and made way for others."""
    time_limit_overruns: int = 0
    """Requests that ran too long."""
    deadline_overruns: int = 0
    """Requests that waited too long, for a worker or for everything together."""


class PoolLoad(NamedTuple):
    """Requests at one moment."""

    waiting: int
    """For a worker, or for it to get ready."""
    computing: int


@dataclass(frozen=True)
class TimedAnswer(Generic[Answer]):
    """An answer, and how long its request waited."""

    answer: Answer
    wait_seconds: float
    """Until the worker that answered began."""


class WorkerPool:
    """Processes that take one request at a time; a request is a picklable value of ours.

    Each thread of the pool's own carries one request at a time from and to a worker, so that neither
    pickling nor a full pipe stops the event loop.
    """

    def __init__(
        self,
        workers: int,
        timeout_seconds: float,
        deadline_seconds: float = _DEADLINE_SECONDS,
        prepare: Sequence[Callable[[], object]] = (),
    ) -> None:
        """Starts no process yet.

        Args:
            timeout_seconds: How long a request may run.
            deadline_seconds: How long a caller waits for a free worker, runs and repetitions together.
            prepare: What a worker does before its first request: functions that are found by their names.
        """
        self.counts = PoolCounts()
        self.deadline_seconds = deadline_seconds
        self.timeout_seconds = timeout_seconds
        self._size = workers
        self._prepare = tuple(prepare)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._lock = threading.Lock()
        """Never taken by the event loop: processes start and end under it."""
        self._workers: set[WorkerProcess] = set()
        """Those that are idle, and those that a thread has; so there are never more than threads."""
        self._idle: list[WorkerProcess] = []
        self._calls: set[_Call] = set()
        """Whose callers wait for an answer; the event loop's alone."""
        self._closed = False

    @property
    def load(self) -> PoolLoad:
        """How many requests there are; to be asked by the event loop."""
        computing = sum(call.is_computing for call in self._calls)
        return PoolLoad(len(self._calls) - computing, computing)

    def warm_up(self) -> None:
        """Start the workers now instead of with the first requests; returns at once."""
        for _ in range(self._size):
            self._threads.submit(self._start_missing)

    def prepare(self, function: Callable[[], object]) -> None:
        """Have all workers, those that run included, call a function before what they are asked next.

        It has the time of a start, and takes none of a request's.
        """
        if function not in self._prepare:
            self._prepare = (*self._prepare, function)

    async def run(self, function: Callable[[Request], Answer], request: Request) -> Answer:
        """Call `function(request)` in a worker; twice where a worker dies of it.

        Raises:
            WorkerFailed: No answer within the time limit (the worker is replaced) or the deadline, an
                error, or two workers that ended.
        """
        return (await self.run_timed(function, request)).answer

    async def run_timed(self, function: Callable[[Request], Answer], request: Request) -> TimedAnswer[Answer]:
        """The same, with how long it took until a worker began. Raises WorkerFailed."""
        call = _Call()
        try:
            future = self._threads.submit(self._carry_out, call, function, request)
        except RuntimeError as error:
            raise WorkerFailed("The workers are closed.") from error
        try:
            async with asyncio.timeout(self.deadline_seconds):
                self._calls.add(call)
                answer: Answer = await asyncio.wrap_future(future)
                return TimedAnswer(answer, call.wait_seconds)
        except TimeoutError as error:
            self.counts.deadline_overruns += 1
            raise WorkerFailed(call.why_late(self.deadline_seconds)) from error
        except ComputationFailed as error:
            raise WorkerFailed(str(error)) from error
        except WorkerFailed:
            raise
        except Exception as error:
            raise WorkerFailed(f"{type(error).__name__}: {error}") from error
        finally:
            self._calls.discard(call)
            call.give_up()

    async def close(self) -> None:
        """End the workers, and with them the requests that wait; returns when all are gone."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.end()

    # --- in the pool's threads --------------------------------------------------------------------

    def _carry_out(self, call: "_Call", function: Callable[[Request], Answer], request: Request) -> Any:
        data = request_bytes(function, request)
        died: WorkerDied | None = None
        for _ in range(_ATTEMPTS):
            try:
                return answer_from(self._ask(call, data))
            except TimeLimitExceeded as error:
                with self._lock:
                    self.counts.time_limit_overruns += 1
                raise WorkerFailed(f"No result within {self.timeout_seconds:g} s.") from error
            except WorkerDied as error:
                died = error
                if call.is_given_up:
                    break
                logger.warning("A worker process ended unexpectedly: %s", error)
        raise WorkerFailed(f"The worker process ended: {died}") from died

    def _ask(self, call: "_Call", data: bytes) -> bytes:
        worker = self._take()
        try:
            with call.carried_out_by(worker):
                if missing := self._prepare[worker.prepared :]:
                    worker.prepare(missing)
                return worker.ask(data, self.timeout_seconds)
        finally:
            self._put_back(worker)

    def _take(self) -> WorkerProcess:
        """A worker that is ready, new if none is idle. Raises WorkerDied: it did not get ready."""
        with self._lock:
            if self._closed:
                raise WorkerFailed("The workers are closed.")
            while self._idle:
                worker = self._idle.pop()
                if worker.is_idle():
                    return worker
                logger.warning("An idle worker process has ended; another one takes its place")
                self._discard(worker)
            worker = self._start()
        self._await_ready(worker)
        return worker

    def _start_missing(self) -> None:
        with self._lock:
            if self._closed or len(self._workers) >= self._size:
                return
            worker = self._start()
        try:
            self._await_ready(worker)
        except WorkerDied as error:  # the next request tries again, and reports it
            logger.warning("A worker process could not start: %s", error)
        else:
            self._put_back(worker)

    def _start(self) -> WorkerProcess:
        worker = WorkerProcess(self._prepare)
        self._workers.add(worker)
        return worker

    def _await_ready(self, worker: WorkerProcess) -> None:
        try:
            worker.wait_until_ready()
        except WorkerDied:
            with self._lock:
                self._discard(worker)
            raise

    def _put_back(self, worker: WorkerProcess) -> None:
        with self._lock:
            if not self._closed and worker.is_idle():
                self._idle.append(worker)
                return
            self._discard(worker)
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self._start_missing)  # no request need wait for its start

    def _discard(self, worker: WorkerProcess) -> None:
        self._workers.discard(worker)
        self.counts.replacements += not self._closed
        worker.end()


class _GivenUp(Exception):
    """Nobody waits for the answer any more."""


class _Call:
    """Where a request is on its way, for a caller that may give up at any moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._has_begun = False
        self._made_at = time.perf_counter()
        self.wait_seconds = 0.0
        """Until a worker began, the last of them where one died."""
        self.is_given_up = False

    @property
    def is_computing(self) -> bool:
        return self._worker is not None

    @contextlib.contextmanager
    def carried_out_by(self, worker: WorkerProcess) -> Iterator[None]:
        """Raises _GivenUp: the worker is not needed."""
        with self._lock:
            if self.is_given_up:
                raise _GivenUp
            self._worker, self._has_begun = worker, True
            self.wait_seconds = time.perf_counter() - self._made_at
        try:
            yield
        finally:
            with self._lock:
                self._worker = None

    def give_up(self) -> None:
        """Free the worker that is at it; a worker that is only starting goes on, for others."""
        with self._lock:
            self.is_given_up = True
            if self._worker is not None:
                self._worker.kill()

    def why_late(self, seconds: float) -> str:
        if self._has_begun:
            return f"No result within {seconds:g} s, waiting for a worker included."
        return f"No worker was free within {seconds:g} s."
