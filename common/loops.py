"""Work that is repeated: loops with a pause between turns, and what is tried until it succeeds.

Pauses follow the event loop's clock, which nobody sets: a wall clock that is set back or forward,
by an administrator or at the end of a virtual machine's sleep, holds no loop up. What is due at a
time of day is for the loop's work to compare.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from pymongo.errors import PyMongoError

from common.errors import ServiceError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLEAN_UP_SECONDS = 20.0
"""What is cancelled may have to end a process, which takes some seconds."""

PASSING_ERRORS = (ServiceError, PyMongoError)
"""What goes away by itself, as a database that does not answer."""


@dataclass(frozen=True)
class BackOff:
    """Pauses after failures in a row, each twice as long as the one before."""

    first_seconds: float
    longest_seconds: float

    def seconds(self, failures: int) -> float:
        """How long to wait after so many failures in a row, at least one."""
        return min(self.first_seconds * 2.0 ** min(failures - 1, 64), self.longest_seconds)


@dataclass(frozen=True)
class Loop:
    """Work that is repeated, never twice at a time; an error costs one turn and is logged.

    Args:
        name: For logs; it says what waits when the work fails.
        work: One turn; what it returns is how many seconds to pause, where that is not `pause_seconds`.
        pause_seconds: Between the end of a turn and the next one.
        first_after_seconds: Until the first turn.
        expected: Errors that pass by themselves: logged in one line.
        back_off: Pauses after failures in a row, where they are to differ from the others.
        wake: Ends a pause; it is cleared before the next turn.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    pause_seconds: float
    first_after_seconds: float = 0.0
    expected: tuple[type[Exception], ...] = PASSING_ERRORS
    back_off: BackOff | None = None
    wake: asyncio.Event | None = None

    async def run_forever(self) -> None:
        """Turn until the task is cancelled."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        await asyncio.sleep(self.first_after_seconds)
        failures = 0
        while True:
            if self.wake is not None:
                self.wake.clear()
            seconds: object = None
            try:
                seconds = await self.work()
            except self.expected as error:
                logger.warning("%s: tried again later: %s", self.name, str(error) or type(error).__name__)
                failures += 1
            except Exception:  # a mistake in one turn must not end all others
                logger.exception("%s failed; tried again later", self.name)
                failures += 1
            else:
                failures = 0
            if task.cancelling():
                return  # the work has swallowed that
            await self._pause(self._pause_seconds(failures, seconds))

    def _pause_seconds(self, failures: int, wanted: object) -> float:
        if failures and self.back_off is not None:
            return self.back_off.seconds(failures)
        return wanted if isinstance(wanted, float) else self.pause_seconds

    async def _pause(self, seconds: float) -> None:
        if self.wake is None:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wake.wait()


@asynccontextmanager
async def running(loops: Iterable[Loop]) -> AsyncIterator[None]:
    """Run the loops until the context ends; then none is at work any more."""
    tasks = [asyncio.create_task(loop.run_forever(), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        await asyncio.gather(*(_end(task) for task in tasks))


async def until_done(
    name: str,
    attempt: Callable[[], Awaitable[T]],
    back_off: BackOff,
    expected: tuple[type[Exception], ...] = PASSING_ERRORS,
) -> T:
    """Try until it succeeds, however often errors come that pass by themselves; others are raised.

    Args:
        name: For logs: what is tried.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except expected as error:
            failures += 1
            logger.warning("%s: tried again later: %s", name, str(error) or type(error).__name__)
        await asyncio.sleep(back_off.seconds(failures))


async def _end(task: asyncio.Task[None]) -> None:
    """End a task, which has time to clean up, but also where a library swallows its cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CLEAN_UP_SECONDS)
