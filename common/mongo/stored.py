"""Reading what is stored, also where another version, or somebody else, has written it.

What means nothing is read as nothing: an empty text, or null, where a number belongs. A number where
a text belongs is its text. What cannot be read all the same is left out of lists, told by its id and
counted, and an error of its own where somebody asks for it: one document must not take away all others.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor

from common.errors import ServiceError
from common.mongo.document import Document, utc_now

logger = logging.getLogger(__name__)

Json = dict[str, Any]
T = TypeVar("T", bound=Document)

_ROUNDS = 5
"""What is wrong beneath a mended value shows only at the next look."""

_MOST_REMEMBERED = 10_000
"""Ids of a collection; the number that is told ends there."""

_MOST_FIELDS = 20


class UnreadableDocument(ServiceError):
    """A stored document that this version does not understand; `members` names its fields."""

    title = "A stored document cannot be read"

    def __init__(self, collection: str, document_id: str, error: ValidationError) -> None:
        self.fields = [
            {"field": ".".join(str(part) for part in each["loc"]) or "document", "message": each["msg"][:300]}
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ][:_MOST_FIELDS]
        self.why = "; ".join(f"{each['field']}: {each['message']}" for each in self.fields[:3])
        super().__init__(f"{collection} {document_id!r}: {self.why}")
        self.members = {"collection": collection, "id": document_id, "errors": self.fields}


class Readable(list[T]):
    """Documents that could be read, and ids of those that were left out."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: list[str] = []
        self.seen = 0
        """How many documents there were, readable or not."""


class _Unreadable:
    """What this process has met since it started and could not read, by collection and model.

    One model may read of a document what another one stumbles over.
    """

    def __init__(self) -> None:
        self._ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, full_name: str, model: str, document_id: str, why: str) -> None:
        """Say so once."""
        ids = self._ids[full_name, model]
        if document_id not in ids and len(ids) < _MOST_REMEMBERED:
            ids.add(document_id)
            logger.warning("%s %s cannot be read and is left out: %s", full_name, document_id, why)

    def discard(self, full_name: str, model: str, document_id: str) -> None:
        """It was mended."""
        if ids := self._ids.get((full_name, model)):
            ids.discard(document_id)

    def counts(self, database: str) -> dict[str, int]:
        """By collection of a database."""
        prefix = f"{database}."
        found: defaultdict[str, set[str]] = defaultdict(set)
        for (full_name, _), ids in self._ids.items():
            if full_name.startswith(prefix):
                found[full_name.removeprefix(prefix)] |= ids
        return {name: len(ids) for name, ids in found.items()}


_unreadable = _Unreadable()


def unreadable_counts(database: str) -> Mapping[str, int]:
    """How many documents this process has met and could not read, by collection."""
    return _unreadable.counts(database)


class Reader(Generic[T]):
    """Reads the documents of one collection."""

    def __init__(self, model: type[T], collection: AsyncCollection[Json]) -> None:
        self._model = model
        self._collection = collection

    def one(self, document: Json) -> T:
        """Raises UnreadableDocument."""
        document_id = str(document.get("_id"))
        try:
            found = read(self._model, document)
        except ValidationError as error:
            failure = UnreadableDocument(self._collection.name, document_id, error)
            _unreadable.add(self._collection.full_name, self._model.__name__, document_id, failure.why)
            # The values in the driver's document stay here: they may be secret, or huge.
            raise failure from None
        _unreadable.discard(self._collection.full_name, self._model.__name__, document_id)
        return found

    def maybe(self, document: Json | None) -> T | None:
        """None where there is none, or none that can be read."""
        try:
            return self.one(document) if document else None
        except UnreadableDocument:
            return None

    async def many(self, cursor: AsyncCursor[Json] | AsyncCommandCursor[Json]) -> Readable[T]:
        """Everything that can be read."""
        found: Readable[T] = Readable()
        async for document in cursor:
            await self._add(document, found)
        return found

    async def page(self, cursor: AsyncCursor[Json], limit: int, skip: int = 0) -> Readable[T]:
        """The first `limit` (0: all) that can be read, however many others lie between them.

        Args:
            cursor: One that skips nothing itself: the last `skip` of a cursor counts alone.
            skip: How many documents are passed over first, readable or not.
        """
        found: Readable[T] = Readable()
        while True:
            wanted = limit - len(found)
            before = found.seen
            async for document in cursor.clone().skip(skip + before).limit(wanted):
                await self._add(document, found)
            if limit == 0 or len(found) >= limit or found.seen - before < wanted:
                return found

    async def take(self, document: Json) -> T:
        """As `one`, for readers that may need some time. Raises UnreadableDocument."""
        return self.one(document)

    async def _add(self, document: Json, found: Readable[T]) -> None:
        found.seen += 1
        try:
            found.append(await self.take(document))
        except UnreadableDocument as error:
            found.unreadable.append(error.members["id"])


def read(model: type[T], document: Json) -> T:
    """The document, mended where that is harmless. Raises pydantic.ValidationError."""
    try:
        return model.from_mongo(document)
    except ValidationError as error:
        first = problem = error
    mended = copy.deepcopy(document)
    for _ in range(_ROUNDS):
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        changed = [_mend(model, mended, each["loc"], each["type"]) for each in errors]
        if not any(changed):
            break
        try:
            return model.from_mongo(mended)
        except ValidationError as error:
            problem = error
    raise first


def _mend(model: type[Document], document: Json, where: tuple[int | str, ...], problem: str) -> bool:
    """Change one value that means nothing, or means something else only in its type."""
    parent, key = _find(document, where)
    if parent is None or problem.startswith("bool"):  # no switch is taken to be off, or on
        return False
    value = parent[key]
    if problem == "finite_number" or (isinstance(value, str) and not value.strip()):
        return _leave_out(model, parent, key, where, as_null=True)
    if value is None:
        return _leave_out(model, parent, key, where, as_null=False)
    if problem == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        if where == ("_id",):
            return False  # under the text nobody would find it
        parent[key] = str(int(value)) if float(value).is_integer() else str(value)
        return True
    if problem == "enum" and isinstance(value, str):
        known = value.upper() if value != value.upper() else model.unknown_values.get(str(where[-1]))
        if known is not None:
            parent[key] = known
        return known is not None
    return False


def _leave_out(
    model: type[Document], parent: Any, key: Any, where: tuple[int | str, ...], *, as_null: bool
) -> bool:
    """Put null in a value's place; or nothing, so that its default counts."""
    field = model.model_fields.get(str(where[0])) if len(where) == 1 else None
    if not isinstance(parent, dict) or (field is not None and field.default_factory is utc_now):
        return False  # now is no default for what was stored long ago
    if as_null:
        parent[key] = None
    else:
        del parent[key]
    return True


def _find(document: Json, where: tuple[int | str, ...]) -> tuple[Any, Any]:
    """The object or list that holds the value at a place, and its key there; (None, None): nothing is there.

    Behind the value itself pydantic may name what it tried, such as a member of a union.
    """
    parent: Any = None
    key: Any = None
    value: Any = document
    for part in where:
        if not isinstance(value, dict | list):
            break
        try:
            parent, key, value = value, part, value[part]  # type: ignore[index]
        except (LookupError, TypeError):
            return None, None
    return parent, key
