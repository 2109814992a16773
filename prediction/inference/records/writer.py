"""Stores predictions before they are answered: those that wait together are stored together.

One insertion waits for MongoDB's journal; many that come at once would each wait for it. So while one is
on its way, the next ones gather, and go in one request.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError

from prediction.inference.records.documents import PredictionRecord, Role, figures_id
from prediction.inference.records.repository import PredictionRepository

logger = logging.getLogger(__name__)

_MOST_TOGETHER = 200
_CLOSE_SECONDS = 5.0
_LEAST_PATIENCE_SECONDS = 0.5
"""For an answer that comes at the last moment: to be remembered it may come a little later."""

_OF_A_DOCUMENT = (InvalidDocument, DocumentTooLarge, UnicodeError, OverflowError)
"""Errors that lie in a document, and not in the database."""

_DUPLICATE = 11000
"""Of what was stored before with others."""

Increments = defaultdict[str, dict[str, Any]]


class RecordWriter:
    """Of one service; started and closed by whoever opens it."""

    def __init__(self, records: PredictionRepository, patience_seconds: float) -> None:
        """Args:
        patience_seconds: How long an answer waits to be stored; then it is given and not remembered.
        """
        self._records = records
        self._patience_seconds = patience_seconds
        self._waiting: list[tuple[PredictionRecord, asyncio.Future[None]]] = []
        self._increments: Increments = defaultdict(dict)
        self._writing: asyncio.Task[None] | None = None
        self._is_away = False
        """The database did not answer last time: nobody waits for it until it has counted figures again."""

    async def store(self, records: Sequence[PredictionRecord], left_seconds: float | None = None) -> bool:
        """Whether they are stored. Never raises: an answer is worth more than the memory of it.

        Args:
            left_seconds: Of whoever waits for the answer, where that is less than all patience.
        """
        if not records:
            return True
        if self._is_away:
            return False
        patience_seconds = self._patience_seconds
        if left_seconds is not None:
            patience_seconds = min(patience_seconds, max(left_seconds, _LEAST_PATIENCE_SECONDS))
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in records]
        self._waiting.extend(zip(records, futures, strict=True))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="predictions to store")
        try:
            async with asyncio.timeout(patience_seconds):
                await asyncio.gather(*futures)
        except Exception as error:  # of whatever kind: an answer is given all the same
            if not isinstance(error, TimeoutError) or patience_seconds == self._patience_seconds:
                self._is_away = not isinstance(error, (BulkWriteError, *_OF_A_DOCUMENT))
            why = str(error) or "the database does not answer"
            logger.warning("Predictions are answered and not remembered: %s", why)
            return False
        return True

    def count(self, model: str, version: int, role: Role, **figures: float) -> None:
        """Add to the figures of a version; stored within a second or so."""
        entry = self._increments[figures_id(model, version, role)]
        entry.update(model=model, version=version, role=role)
        for name, value in figures.items():
            entry[name] = entry.get(name, 0) + value

    async def store_figures(self) -> None:
        """Store what was counted since.

        Raises:
            PyMongoError: It is counted again next time, and twice where it was stored all the same.
        """
        taken, self._increments = self._increments, defaultdict(dict)
        try:
            if self._is_away:
                await self._records.answers()
                logger.info("Predictions are remembered again")
                self._is_away = False
            await self._records.add_figures(taken)
        except PyMongoError:
            for each in taken.values():
                self._add_again(each)
            raise

    def _add_again(self, entry: Mapping[str, Any]) -> None:
        figures = {name: value for name, value in entry.items() if name not in ("model", "version", "role")}
        self.count(entry["model"], entry["version"], entry["role"], **figures)

    async def close(self) -> None:
        """Store what is left, as far as that is possible."""
        with contextlib.suppress(TimeoutError, PyMongoError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._writing is not None:
                    await asyncio.shield(self._writing)
                await self.store_figures()

    async def _one(self, record: PredictionRecord) -> Exception | None:
        """Why it is not stored by itself; None: it is."""
        try:
            await self._records.insert([record])
        except BulkWriteError as error:
            is_there = all(each.get("code") == _DUPLICATE for each in error.details.get("writeErrors", [{}]))
            return None if is_there else error
        except Exception as error:
            return error
        return None

    async def _write(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:_MOST_TOGETHER], self._waiting[_MOST_TOGETHER:]
                wanted = [(record, future) for record, future in taken if not future.done()]
                try:
                    await self._records.insert([record for record, _ in wanted])
                except (BulkWriteError, *_OF_A_DOCUMENT):  # one of them cannot be stored
                    for record, future in wanted:
                        _settle(future, await self._one(record))
                except Exception as error:  # of whatever kind: who waits has to know
                    for _, future in wanted:
                        _settle(future, error)
                else:
                    for _, future in wanted:
                        _settle(future, None)
        finally:
            self._writing = None


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return  # somebody has stopped waiting
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # it is looked at here, in case that nobody does any more
