"""Reading what was read before: documents whose bytes have not changed are not validated again."""

from collections import OrderedDict
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from common.mongo.large import LargeReader
from common.mongo.stored import Json, T

_MOST_BYTES = 8 * 1024 * 1024
"""Of documents as they are stored; read, they take about ten times as much."""


class UnchangedReader(LargeReader[T]):
    """Reads documents of one collection whose bytes alone decide: whoever has changed one, it is read anew.

    What it returns is shared with others, and not to be changed.
    """

    def __init__(
        self, model: type[T], collection: AsyncCollection[Json], most_bytes: int = _MOST_BYTES
    ) -> None:
        super().__init__(model, collection)
        self._most_bytes = most_bytes
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._bytes = 0

    async def take(self, document: Any) -> T:
        """One that `find` found. Raises UnreadableDocument, each time."""
        stored: bytes = document.raw
        found = self._known.get(stored)
        if found is not None:
            self._known.move_to_end(stored)
            return found
        found = await super().take(document)
        if stored not in self._known:  # another one may have read it meanwhile
            self._bytes += len(stored)
        self._known[stored] = found
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._known.popitem(last=False)[0])
        return found
