"""How many models are in memory at once: those that answer, that are loaded right now, and that still end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from prediction.inference.served.loading import Loading
from prediction.inference.served.model_server import ModelServer
from prediction.inference.served.readiness import ServerState, TooManyModels

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1


class Room:
    """Of one service."""

    def __init__(
        self, loading: Loading, most_models: int, awake: Callable[[], Iterable[ModelServer]]
    ) -> None:
        """Args:
        awake: Those of which something answers.
        """
        self._loading = loading
        self._most_models = most_models
        self._awake = awake
        self._coming: set[str] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, model: str) -> AsyncIterator[None]:
        """Room for a model while it is loaded; waits for others that end, or that nobody asks and that end
        for it. Raises TooManyModels: all are at work.
        """
        while len(others := self._others(model)) >= self._most_models:
            if not self._is_leaving(others):
                self._let_sleep(model, len(others))
            await asyncio.sleep(_LOOK_SECONDS)
        self._coming.add(model)
        try:
            yield
        finally:
            self._coming.discard(model)

    def _others(self, model: str) -> set[str]:
        present = {loaded.version.name for loaded in self._loading.loaded}
        return (present | self._coming) - {model}

    def _is_leaving(self, others: set[str]) -> bool:
        """Whether one of them ends by itself: it answers nothing any more."""
        return bool(others - self._coming - {server.name for server in self._awake()})

    def _let_sleep(self, model: str, others: int) -> None:
        for each in sorted(self._awake(), key=lambda each: each.asked_at):
            if each.name == model or each.state is not ServerState.READY:
                continue
            if each.is_idle and not each.is_changing:
                logger.info("%s makes room for %s", each.name, model)
                task = asyncio.create_task(each.sleep(), name=f"{each.name} makes room")
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
                return
        raise TooManyModels(
            f"{others} models are in memory and at work (SERVING_MAX_MODELS); ask again later."
        )
