"""What the database said last, for questions that cannot wait for it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pymongo.errors import PyMongoError

_PATIENCE_SECONDS = 0.5
"""For the database, where something is known."""

_MOST_REMEMBERED = 10_000

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values by key, each looked at anew whenever it is asked for; those who ask at once share a look.

    While the database does not answer, what was known last does: the first who ask wait for a short while,
    and whoever comes later not at all, until the look that is on its way has ended.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._known: OrderedDict[str, Value] = OrderedDict()
        self._looking: dict[str, tuple[asyncio.Task[Value], float]] = {}

    async def get(self, key: str, look: Callable[[], Awaitable[Value]]) -> Value:
        """The value.

        Raises:
            PyMongoError: The database does not answer, and nothing is known.
            And what `look` raises, which says that there is no value: it is known no more.
        """
        loop = asyncio.get_running_loop()
        if key not in self._looking:
            task = asyncio.create_task(self._look(key, look), name=f"a look at {key}")
            self._looking[key] = task, loop.time() + self._patience_seconds
            task.add_done_callback(_looked_at)
        looking, until = self._looking[key]
        if key not in self._known:
            return await asyncio.shield(looking)
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(looking)
        except (TimeoutError, PyMongoError):
            if key not in self._known:
                raise
            return self._known[key]

    async def _look(self, key: str, look: Callable[[], Awaitable[Value]]) -> Value:
        try:
            found = await look()
        except PyMongoError:
            raise
        except Exception:
            self._known.pop(key, None)
            raise
        else:
            self._known[key] = found
            self._known.move_to_end(key)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
            return found
        finally:
            del self._looking[key]


def _looked_at(task: "asyncio.Task[Value]") -> None:
    """Who waited for it may be gone."""
    if not task.cancelled():
        task.exception()
