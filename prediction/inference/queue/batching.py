"""Rows of several callers, computed together: each caller gets their own rows' answers or errors.

Rows wait in their callers' queues, and a batch takes one of each in turn, so that who asks with a thousand
does not hold up who asks with one. While all replicas are at work rows gather by themselves; only where a
replica is free may it be worth waiting for more. Where rows take as long together as one after another, they
go one by one (`pace.py`).

A batch whose process ends is asked again row by row, once: who was innocent gets an answer. A row that ended
it alone is suspect: it is not tried again, goes alone ever after, and is refused once it has done so twice.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidRequest, PayloadTooLarge, ServiceError, Unavailable
from prediction.inference.declaration.json_values import as_unicode
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.model_process.frames import Row, decode_answers, encode_request
from prediction.inference.model_process.plain import said_by
from prediction.inference.model_process.words import ModelDied, ModelFailed, ModelOverdue, ModelTooLarge
from prediction.inference.queue.breaker import Breaker
from prediction.inference.queue.pace import Pace
from prediction.inference.queue.sizes import off_the_loop, row_bytes
from prediction.inference.queue.suspects import Suspects, digest_of

logger = logging.getLogger(__name__)

_MOST_FRAME_BYTES = 256 << 20
"""Of rows that are computed together, decoded: what travels to a replica has an end."""

_ESCAPED_HALF = b"\\ud"
"""What a half of a character is in a frame, as also each of the two that make one."""

_NUMBER_BYTES = 16
"""About what a number of an array takes as text."""

_AGAIN_SECONDS = 0.25
"""Between two attempts while the engine is away."""

Ask = Callable[[bytes, float], Awaitable[bytes]]
"""A frame and its seconds, to the frame of its answers; raises as `Engine.ask` does."""


class RowFailed(ServiceError):
    """The model has no answer to a row, and says why."""

    status, title = 422, "The model has no answer to this"


class RowFatal(ServiceError):
    """The model's process ended with this row."""

    status, title = 502, "The model failed"


class RowLate(Unavailable):
    """No answer in time."""

    status, title = 504, "No answer in time"


class PoisonousRow(InvalidRequest):
    title = "This input ends the model's process"


@dataclass
class RowAnswer:
    """Of one row."""

    value: Any
    compute_seconds: float
    """Of the batch that it was part of."""
    size_bytes: int = 0
    """About what it takes."""


@dataclass
class _Waiting:
    row: Row
    caller: str
    future: asyncio.Future["RowAnswer | ServiceError"]
    """Errors are results of it, too: whoever has gone leaves none behind that nobody looks at."""
    size_bytes: int
    alone: bool = False
    _digest: str = ""

    async def digest(self) -> str:
        """What its row is known by."""
        if not self._digest:
            self._digest = await off_the_loop(self.size_bytes, digest_of, self.row)
        return self._digest

    @property
    def is_over(self) -> bool:
        """Whether it has been answered, or its caller has gone."""
        return self.future.done()


@dataclass(frozen=True)
class BatchLimits:
    """How rows go together."""

    most_rows: int
    wait_seconds: float
    """For more rows, while a replica is free."""
    at_once: int
    """Batches on their way."""
    compute_seconds: float
    """That a batch may take, however long its callers still wait: a replica that is slow for one of them is
    not ended for it."""


class Batcher:
    """Of one loaded version in one service; ends with `close`, when nothing waits any more."""

    def __init__(self, name: str, ask: Ask, limits: BatchLimits, breaker: Breaker) -> None:
        self._name = name
        self._ask = ask
        self.limits = limits
        self.breaker = breaker
        self._callers: deque[deque[_Waiting]] = deque()
        """Rows that wait, those of each caller by themselves."""
        self._there_is_work = asyncio.Event()
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()
        self._suspects = Suspects()
        self._pace = Pace()
        self._lanes: set[asyncio.Task[None]] = set()
        self._on_their_way = 0
        self.batches = 0
        self.rows = 0
        self.seconds_each = 0.05
        """What a row takes lately."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is on its way."""
        return not self._callers and not self._on_their_way

    @property
    def waiting(self) -> int:
        """Rows that no replica has yet."""
        return sum(len(rows) for rows in self._callers)

    async def answer(
        self,
        rows: Sequence[Row],
        deadline_seconds: float,
        caller: str = "",
        sizes: Sequence[int] | None = None,
    ) -> list[RowAnswer | ServiceError]:
        """An answer or an error for each row, in order; whoever is cancelled is not computed for.

        Args:
            caller: Who is refused alone, where their rows end processes.
            sizes: Bytes of each row, where they are known.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_seconds
        sizes = [row_bytes(row) for row in rows] if sizes is None else sizes
        waiting = [
            _Waiting(row, caller, loop.create_future(), size_bytes)
            for row, size_bytes in zip(rows, sizes, strict=True)
        ]
        self._start_lanes()
        taken: deque[_Waiting] = deque()
        for each in waiting:
            if refusal := await self._refusal(each):
                each.future.set_result(refusal)
            else:
                taken.append(each)
        if taken:
            self._callers.append(taken)
            self._is_quiet.clear()
            self._there_is_work.set()
        try:
            await asyncio.wait([each.future for each in waiting], timeout=max(0.0, until - loop.time()))
        finally:
            late = [each.future for each in waiting if each.future.cancel()]
        too_late = RowLate("The model has not answered in time (time_limit_seconds).")
        return [too_late if each.future in late else each.future.result() for each in waiting]

    async def close(self) -> None:
        """End it once nothing waits and nothing is on its way."""
        await self._is_quiet.wait()
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    # --- lanes: each has one batch on its way ---------------------------------------------------------

    def _start_lanes(self) -> None:
        self._lanes = {lane for lane in self._lanes if not lane.done()}
        while len(self._lanes) < self.limits.at_once:
            self._lanes.add(asyncio.create_task(self._serve(), name=f"rows of {self._name}"))

    async def _serve(self) -> None:
        while True:
            await self._there_is_work.wait()
            batch = self._take()
            if not batch:
                if not self._callers:
                    self._there_is_work.clear()
                self._look_whether_quiet()
                continue
            self._on_their_way += 1
            try:
                await self._gather(batch)
                await self._compute(batch)
            except Exception as error:  # a mistake of ours must not end the lane, nor leave rows unanswered
                logger.exception("%s: rows are not answered", self._name)
                _fail(batch, RowFatal(f"The service failed ({type(error).__name__})."))
            finally:
                self._on_their_way -= 1
                self._look_whether_quiet()

    def _look_whether_quiet(self) -> None:
        if self.is_idle:
            self._is_quiet.set()

    def _take(self, batch: list[_Waiting] | None = None) -> list[_Waiting]:
        """Rows for a batch, one of each caller in turn; a row that goes alone makes one by itself."""
        batch = [] if batch is None else batch
        left = _MOST_FRAME_BYTES - sum(each.size_bytes for each in batch)
        most_rows = self._pace.most_rows(self.limits.most_rows)
        while self._callers and len(batch) < most_rows:
            rows = self._callers[0]
            while rows and rows[0].is_over:
                rows.popleft()
            if not rows:
                self._callers.popleft()
                continue
            next_one = rows[0]
            left -= next_one.size_bytes
            if batch and (left < 0 or next_one.alone):
                break
            batch.append(rows.popleft())
            self._callers.rotate(-1)
            if next_one.alone:
                break
        return batch

    async def _gather(self, batch: list[_Waiting]) -> None:
        """Wait for more rows where that is wanted."""
        most_rows = self._pace.most_rows(self.limits.most_rows)
        if self.limits.wait_seconds <= 0 or batch[0].alone:
            return
        until = time.monotonic() + self.limits.wait_seconds
        while len(batch) < most_rows and (left := until - time.monotonic()) > 0:
            self._there_is_work.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._there_is_work.wait()
            self._take(batch)
        self._there_is_work.set()

    async def _compute(self, batch: list[_Waiting]) -> None:
        batch[:] = [each for each in batch if not each.is_over]
        if not batch:
            return
        loop = asyncio.get_running_loop()
        size_bytes = sum(each.size_bytes for each in batch)
        frame = await off_the_loop(size_bytes, encode_request, [each.row for each in batch])
        started = loop.time()
        while not all(each.is_over for each in batch):
            try:
                answers = await self._ask(frame, self.limits.compute_seconds)
                break
            except EngineUnavailable as error:
                logger.warning("%s: asked again: %s", self._name, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            except (ModelDied, ModelOverdue, ModelTooLarge) as error:
                await self._survive(batch, error)
                return
            except ModelFailed as error:
                self.breaker.failed(_in_a_line(error), None)
                _fail(batch, RowFatal(_in_a_line(error)))
                return
        else:
            return
        self.breaker.succeeded(each.caller for each in batch)
        outcomes = await off_the_loop(len(answers), _outcomes, answers)
        await self._hand_out(batch, outcomes, loop.time() - started)

    async def _hand_out(
        self, batch: list[_Waiting], outcomes: Sequence[RowAnswer | RowFailed], seconds: float
    ) -> None:
        self.batches += 1
        self.rows += len(batch)
        answered = [each for each in outcomes if isinstance(each, RowAnswer)]
        if len(answered) == len(batch):  # an error may cost nothing
            self._pace.took(len(batch), answered[0].compute_seconds)
        self.seconds_each = 0.9 * self.seconds_each + 0.1 * seconds / len(batch)
        for each, outcome in zip(batch, outcomes, strict=True):
            if each.alone:  # it was suspected, and has ended nothing
                self._suspects.clear(await each.digest())
            if not each.is_over:
                each.future.set_result(outcome)

    async def _survive(self, batch: list[_Waiting], error: Exception) -> None:
        """A batch that ended its process: each of its rows is tried alone, unless it was alone."""
        if len(batch) > 1:
            logger.warning("%s: %d rows are asked again, each alone: %s", self._name, len(batch), error)
            again = deque(each for each in batch if not each.is_over)
            for each in again:
                each.alone = True
            # Once for callers who ask the same: it was one end, and may have had any other cause.
            for digest in {await each.digest() for each in again}:
                self._suspects.add(digest)
            if again:
                self._callers.append(again)
                self._there_is_work.set()
            return
        logger.warning("%s: a row has ended its process: %s", self._name, error)
        [row] = batch
        self.breaker.failed(_in_a_line(error), row.caller)
        digest = await row.digest()
        self._suspects.add(digest)
        never_again = "; it is not asked again" if self._suspects.is_refused(digest) else ""
        _fail(batch, RowFatal(f"{_in_a_line(error)}{never_again}"))

    async def _refusal(self, waiting: _Waiting) -> ServiceError | None:
        if waiting.size_bytes > _MOST_FRAME_BYTES:
            return PayloadTooLarge(f"A row of {waiting.size_bytes:,} bytes, decoded, is too large.")
        if self._suspects:
            digest = await waiting.digest()
            if self._suspects.is_refused(digest):
                return PoisonousRow(
                    "Asked this, the model's process has ended before; it is not asked it any more."
                )
            waiting.alone = self._suspects.is_any(digest)
        return self.breaker.refusal(waiting.caller)


def _in_a_line(error: Exception) -> str:
    """Why, without what the process has printed: that may be of other callers, and is for the log."""
    told: str = as_unicode(str(error).split("\n")[0][:500])
    return told


def _outcomes(frame: bytes) -> list[RowAnswer | RowFailed]:
    """What a model says of each row. It blocks where the frame is large.

    Halves of characters become question marks, which can be sent on and stored.
    """
    found = decode_answers(frame)
    share_bytes = len(frame) // max(1, len(found.answers))
    whole: Callable[[Any], Any] = as_unicode if _ESCAPED_HALF in frame else lambda value: value
    outcomes: list[RowAnswer | RowFailed] = []
    for each in found.answers:
        if each.error is not None:
            outcomes.append(RowFailed(whole(each.error)))
            continue
        numbers = sum(math.prod(array.shape) for array in each.arrays.values())
        size_bytes = share_bytes + _NUMBER_BYTES * numbers
        outcomes.append(RowAnswer(whole(said_by(each)), found.compute_seconds, size_bytes))
    return outcomes


def _fail(batch: Sequence[_Waiting], error: ServiceError) -> None:
    for each in batch:
        if not each.is_over:
            each.future.set_result(error)
