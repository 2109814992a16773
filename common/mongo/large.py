"""Documents of megabytes: decoded, validated and encoded in threads, piece by piece.

Drivers in C hold the interpreter for as long as one call takes. What is done in many small calls lets the
event loop go on in between.
"""

from typing import Any

from bson import decode, encode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor

from common.beside import beside
from common.mongo.stored import Json, Reader, T

LARGE_BYTES = 256 * 1024
"""What is smaller is decoded and validated within some milliseconds."""

_PIECE_BYTES = 64 * 1024
"""Decoded in one call."""


class LargeReader(Reader[T]):
    """Reads documents of one collection, of which some are large."""

    def __init__(self, model: type[T], collection: AsyncCollection[Json]) -> None:
        super().__init__(model, collection)
        self._options: CodecOptions[Json] = collection.codec_options
        self._raw: AsyncCollection[Any] = collection.with_options(
            codec_options=self._options.with_options(document_class=RawBSONDocument)
        )

    def find(self, query: Json, session: AsyncClientSession | None = None) -> AsyncCursor[Any]:
        """Documents for `take`, `many` and `page`, not decoded yet."""
        return self._raw.find(query, session=session)

    async def aggregate(self, pipeline: list[Json]) -> AsyncCommandCursor[Any]:
        """The same of what a pipeline makes of the collection."""
        return await self._raw.aggregate(pipeline)

    async def take(self, document: Any) -> T:
        """One that `find` found; a large one is read in a thread. Raises UnreadableDocument."""
        if len(document.raw) <= LARGE_BYTES:
            return self.one(decode(document.raw, codec_options=self._options))
        return await beside(self._take_large, document)

    def _take_large(self, document: RawBSONDocument) -> T:
        return self.one(decoded(document, self._options))


def decoded(document: RawBSONDocument, options: CodecOptions[Json]) -> Json:
    """As `bson.decode` has it, in pieces: embedded documents that are large, one by one."""
    if len(document.raw) <= _PIECE_BYTES:
        return decode(document.raw, codec_options=options)
    return {name: _decoded_value(value, options) for name, value in document.items()}


def _decoded_value(value: Any, options: CodecOptions[Json]) -> Any:
    if isinstance(value, RawBSONDocument):
        return decoded(value, options)
    if isinstance(value, list):
        return [_decoded_value(each, options) for each in value]
    return value


def encoded(document: Json) -> RawBSONDocument:
    """A document that PyMongo takes as it is."""
    return RawBSONDocument(encode(document))
