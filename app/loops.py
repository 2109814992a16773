"""What goes on in the background: loops, each with its pause, until the service ends.

Pauses follow the event loop's clock, which nobody sets: a wall clock that is set back or forward,
by an administrator or at the end of a virtual machine's sleep, holds no loop up. What is due at a
time of day is for the loop's work to compare.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.errors import ServiceError

logger = logging.getLogger(__name__)

_CLEAN_UP_SECONDS = 20.0
"""What is cancelled may have to end a process, which takes some seconds."""


class BackOff:
    """Pauses after failures in a row, each twice as long as the one before."""

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def failed(self) -> float:
        """Seconds to wait after one more failure."""
        seconds = self._next_seconds
        self._next_seconds = min(2 * seconds, self._longest_seconds)
        return seconds

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self._next_seconds = self._first_seconds


@dataclass(frozen=True)
class Loop:
    """Work that is repeated, never twice at a time; an error costs one turn and is logged.

    Args:
        name: For logs; it says what waits when the work fails.
        pause_seconds: Between the end of a turn and the next one.
        first_after_seconds: Until the first turn.
        expected: Errors that pass by themselves, as a database's that is away: logged in one line.
        back_off: Pauses after failures, where they are to differ from the others.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    pause_seconds: float
    first_after_seconds: float = 0.0
    expected: tuple[type[Exception], ...] = (ServiceError, PyMongoError)
    back_off: BackOff | None = None

    async def run_forever(self) -> None:
        task = asyncio.current_task()
        await asyncio.sleep(self.first_after_seconds)
        while True:
            pause_seconds = await self._turn()
            if task is not None and task.cancelling():
                return  # the work has swallowed that
            await asyncio.sleep(pause_seconds)

    async def _turn(self) -> float:
        """Seconds to pause after it."""
        try:
            await self.work()
        except self.expected as error:
            logger.warning("%s: tried again later: %s", self.name, str(error) or type(error).__name__)
            return self._pause_after_failure()
        except Exception:  # a mistake in one turn must not end all others
            logger.exception("%s failed; tried again later", self.name)
            return self._pause_after_failure()
        if self.back_off is not None:
            self.back_off.succeeded()
        return self.pause_seconds

    def _pause_after_failure(self) -> float:
        return self.pause_seconds if self.back_off is None else self.back_off.failed()


@asynccontextmanager
async def running(loops: Iterable[Loop]) -> AsyncIterator[None]:
    """Run the loops until the context ends; then none is at work any more."""
    tasks = [asyncio.create_task(loop.run_forever(), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        await asyncio.gather(*(end(task) for task in tasks))


async def end(task: asyncio.Task[None]) -> None:
    """End a task, which has time to clean up, but also where a library swallows its cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CLEAN_UP_SECONDS)
