"""Reports that wait are stored together: a commit costs as much for one as for many.

Each application execution has a queue of its own, and they take turns: what one driver sends takes a share
of every batch, however much it is. An execution is in one batch at a time, so that no two transactions of
this process ever write the same document. Nothing waits for company: a report that is alone is stored alone.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pymongo.errors import ExecutionTimeout, PyMongoError

from common.errors import ServiceError, Unavailable
from common.executions.reports.changes import Event
from common.executions.reports.storage import Outcome, Report, Stored
from common.wire.events import JobEnded

_TURNS = 4
"""Of the event loop before a batch is made: what has arrived already is read, and comes along."""

MOST_BATCHES = 2
"""At once: while one is committed, the next one is made."""

MOST_IN_A_BATCH = 64
MOST_OF_ONE_RUN = 16
"""In a batch."""
_BATCH_BYTES = 2 * 1024 * 1024

MOST_WAITING = 8192
WAITING_BYTES = 64 * 1024 * 1024
"""Reports that wait, of all executions; of one a quarter of either, so that the others' are still taken."""
_SHARE = 4

_REPORT_BYTES = 1024
_STAGE_BYTES = 2048
_PARENT_BYTES = 64
"""In memory, about, beside texts."""


@dataclass(frozen=True)
class _Waiting:
    report: Report
    size_bytes: int
    outcome: asyncio.Future[Stored]


@dataclass
class _Queue:
    """Of one execution."""

    reports: deque[_Waiting] = field(default_factory=deque)
    size_bytes: int = 0
    is_in_batch: bool = False


class ReportQueue:
    """Makes batches of what waits.

    Args:
        store: Stores a batch; an outcome for each report.
        timeout_seconds: For which a report waits at most, its own transaction included; of several that come
            together each one from the outcome of the one before.
    """

    def __init__(
        self, store: Callable[[Sequence[Report]], Awaitable[Sequence[Outcome]]], timeout_seconds: float
    ) -> None:
        self._store = store
        self._timeout_seconds = timeout_seconds
        self._queues: dict[str, _Queue] = {}
        """By execution, as long as one of its reports waits or is in a batch."""
        self._turns: dict[str, None] = {}
        """Executions that wait, and are in no batch; whose turn it is comes first."""
        self._count, self._bytes = 0, 0
        self._batches: set[asyncio.Task[None]] = set()

    async def add(self, application_execution_id: str, events: Sequence[Event]) -> list[Stored]:
        """Returns once all are stored, in this order.

        Raises:
            Unavailable: Too much waits already; nothing is stored.
            ServiceError: One of the events cannot be stored.
            pymongo.errors.PyMongoError: Nothing is stored, or the outcome is unknown.
        """
        outcomes = self._put(application_execution_id, events)
        stored: list[Stored] = []
        failure: Exception | None = None
        try:
            for outcome in outcomes:
                async with asyncio.timeout(self._timeout_seconds):
                    try:
                        stored.append(await outcome)
                    except (ServiceError, PyMongoError) as error:  # others may be stored all the same
                        failure = failure or error
        except TimeoutError as error:
            raise ExecutionTimeout(f"Not stored within {self._timeout_seconds:g} s.") from error
        finally:
            for outcome in outcomes:
                _forget(outcome)
        if failure is not None:
            raise failure
        return stored

    def _put(self, name: str, events: Sequence[Event]) -> list[asyncio.Future[Stored]]:
        loop = asyncio.get_running_loop()
        added = [_Waiting(Report(name, event), size_of(event), loop.create_future()) for event in events]
        size_bytes = sum(each.size_bytes for each in added)
        queue = self._queues.get(name) or _Queue()
        self._check_room(queue, len(added), size_bytes)
        self._queues[name] = queue
        queue.reports.extend(added)
        queue.size_bytes += size_bytes
        self._count += len(added)
        self._bytes += size_bytes
        if not queue.is_in_batch:
            self._turns.setdefault(name)
            if len(self._batches) < MOST_BATCHES:
                # Time limits of whoever came first, and what the log calls them, are not those of others.
                task = loop.create_task(self._work(), context=contextvars.Context())
                self._batches.add(task)
                task.add_done_callback(self._batches.discard)
        return [each.outcome for each in added]

    def _check_room(self, queue: _Queue, count: int, size_bytes: int) -> None:
        """What nothing waits before is taken, whatever its size: requests have limits of their own."""
        for waiting, waiting_bytes, share in (
            (self._count, self._bytes, 1),
            (len(queue.reports), queue.size_bytes, _SHARE),
        ):
            is_full = (
                waiting + count > MOST_WAITING // share or waiting_bytes + size_bytes > WAITING_BYTES // share
            )
            if is_full and waiting:
                whose = "of this application" if share > 1 else "of all applications"
                raise Unavailable(f"{waiting} reports {whose} wait until they are stored: send it again.")

    async def _work(self) -> None:
        await _let_others()
        while batch := self._take():
            outcomes: Sequence[Outcome]
            try:
                outcomes = await self._store([each.report for each in batch])
            except asyncio.CancelledError:  # the service ends
                for each in batch:
                    each.outcome.cancel()
                raise
            except Exception as error:
                outcomes = [error] * len(batch)
            self._give_back(batch)
            for each, outcome in zip(batch, outcomes, strict=True):
                if each.outcome.done():
                    continue  # who waited has gone
                if isinstance(outcome, Stored):
                    each.outcome.set_result(outcome)
                else:
                    each.outcome.set_exception(outcome)
            await _let_others()
        # Not only by its callback, before which somebody may come, and would start nobody.
        self._batches.discard(asyncio.current_task())

    def _take(self) -> list[_Waiting]:
        """The next batch; empty where nothing waits. What nobody waits for any more is left out."""
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._turns and len(batch) < MOST_IN_A_BATCH and size_bytes < _BATCH_BYTES:
            name = next(iter(self._turns))
            del self._turns[name]
            queue = self._queues[name]
            room = min(MOST_OF_ONE_RUN, MOST_IN_A_BATCH - len(batch))
            while queue.reports and room and size_bytes < _BATCH_BYTES:
                each = queue.reports.popleft()
                queue.size_bytes -= each.size_bytes
                self._bytes -= each.size_bytes
                self._count -= 1
                if not each.outcome.done():
                    queue.is_in_batch = True
                    batch.append(each)
                    size_bytes += each.size_bytes
                    room -= 1
            if not queue.is_in_batch:
                del self._queues[name]
        return batch

    def _give_back(self, batch: Sequence[_Waiting]) -> None:
        """Executions whose reports wait get in line again."""
        for name in {each.report.application_execution_id: None for each in batch}:
            queue = self._queues[name]
            queue.is_in_batch = False
            if queue.reports:
                self._turns[name] = None
            else:
                del self._queues[name]


async def _let_others() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _forget(outcome: asyncio.Future[Stored]) -> None:
    """Nobody waits for it any more, or asks what it was."""
    if not outcome.cancel() and not outcome.cancelled():
        outcome.exception()


def size_of(event: Event) -> int:
    """Bytes of an event in memory, about."""
    if not isinstance(event, JobEnded):
        return _REPORT_BYTES
    stages = [stage for stage in event.stages.values() if stage is not None]
    texts = sum(
        len(stage.stage_name) + len(stage.failure_reason or "") + _PARENT_BYTES * len(stage.parent_stage_ids)
        for stage in stages
    )
    return _REPORT_BYTES + _STAGE_BYTES * len(stages) + texts
