"""What is loaded beside the version that serves, in a task of its own: however long that takes, and however
often it hangs, what serves is looked at meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from common.errors import ServiceError
from prediction.inference.records.documents import Role
from prediction.inference.served.documents import ServingOptions

logger = logging.getLogger(__name__)

Numbers = Mapping[Role, int | None]
"""Of the versions that are to be canary and shadow; None: none is."""


class Beside:
    """Of one model.

    Args:
        let: Lets a version be what it is to be, or none; it may take long, and may be cancelled.
    """

    def __init__(self, name: str, let: Callable[[Role, int | None], Awaitable[None]]) -> None:
        self._name = name
        self._let = let
        self._task: asyncio.Task[None] | None = None
        self._wanted: tuple[Numbers, ServingOptions] | None = None

    @property
    def is_changing(self) -> bool:
        """Whether something is being loaded."""
        return self._task is not None and not self._task.done()

    async def follow(self, numbers: Numbers, options: ServingOptions) -> None:
        """Let these versions be beside; what is being loaded for others is given up."""
        if self.is_changing:
            if self._wanted == (numbers, options):
                return
            await self.give_up()
        self._wanted = (numbers, options)
        self._task = asyncio.create_task(self._let_all(numbers), name=f"{self._name}: versions beside")

    async def leave(self, number: int) -> None:
        """Give up what is being loaded where that, or what comes next, is this version."""
        if self._wanted is not None and number in self._wanted[0].values():
            await self.give_up()

    async def give_up(self) -> None:
        """Return once nothing is being loaded any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self, seconds: float) -> bool:
        """Whether nothing is being loaded any more, after so long at most."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=max(0.0, seconds))
        return not self.is_changing

    async def _let_all(self, numbers: Numbers) -> None:
        for role, number in numbers.items():
            try:
                await self._let(role, number)
            except ServiceError as error:
                logger.warning("%s: nothing is loaded as %s: %s", self._name, role, error)
            except Exception:  # also what Ray or a disk does: it is tried again
                logger.exception("%s: what answers as %s stays as it is", self._name, role)
