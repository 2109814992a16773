"""Reading what was read before: documents whose bytes have not changed are not validated again."""

from collections import OrderedDict
from typing import Any

from bson import decode
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor

from common.mongo.stored import Json, Reader, T

_MOST_BYTES = 8 * 1024 * 1024
"""Of documents as they are stored; read, they take about ten times as much."""


class UnchangedReader(Reader[T]):
    """Reads documents of one collection whose bytes alone decide: whoever has changed one, it is read anew.

    What it returns is shared with others, and not to be changed.
    """

    def __init__(
        self, model: type[T], collection: AsyncCollection[Json], most_bytes: int = _MOST_BYTES
    ) -> None:
        super().__init__(model, collection)
        self._most_bytes = most_bytes
        self._options = collection.codec_options
        self._raw: AsyncCollection[Any] = collection.with_options(
            codec_options=self._options.with_options(document_class=RawBSONDocument)
        )
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._bytes = 0

    def find(self, query: Json) -> AsyncCursor[Json]:
        """Documents for `many` and `page`, not decoded yet."""
        return self._raw.find(query)

    def one(self, document: Any) -> T:
        """Raises UnreadableDocument, each time."""
        stored: bytes = document.raw
        found = self._known.get(stored)
        if found is None:
            found = super().one(decode(stored, codec_options=self._options))
            self._known[stored] = found
            self._bytes += len(stored)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._known.popitem(last=False)[0])
        else:
            self._known.move_to_end(stored)
        return found
