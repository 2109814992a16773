"""Questions to a model and its answers as bytes: a header in JSON, then the arrays as they lie in memory.

    length of the header (4 bytes, big endian) | header, padded with spaces | arrays

The arrays are little endian, in C order, each at a multiple of 8 from the frame's beginning, so that they can
be used where they lie. Nothing is unpickled. Standard library alone: it runs in environments of others, too.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ITEM_BYTES: Mapping[str, int] = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "float16": 2,
    "uint32": 4,
    "int32": 4,
    "float32": 4,
    "uint64": 8,
    "int64": 8,
    "float64": 8,
}
"""Bytes of one item by datatype; other datatypes do not travel."""

MOST_DIMENSIONS = 16
MOST_HEADER_BYTES = 256 << 20

_ALIGNMENT = 8
_LENGTH = struct.Struct(">I")


class FrameDamaged(ValueError):
    """These bytes are no frame, or not a whole one; the message says where."""


@dataclass(frozen=True)
class Array:
    """Numbers of one datatype.

    Attributes:
        dtype: A key of ITEM_BYTES.
        data: Little endian, in C order; as many bytes as the shape says.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


@dataclass(frozen=True)
class Row:
    """One question: values that are JSON, and arrays, by the names of their fields.

    Attributes:
        order: Names of both, as they are to follow each other; those that are not in it come last.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    order: Sequence[str] = ()

    def inputs(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Values and arrays, or what these were made into, in their order."""
        fields = {**self.values, **arrays}
        first = {name: fields[name] for name in self.order if name in fields}
        return {**first, **fields}


@dataclass(frozen=True)
class Answer:
    """What became of one row: a value that is JSON, with or without arrays, or an error in words."""

    value: Any = None
    arrays: Mapping[str, Array] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Answers:
    """What became of all rows of a request, in their order."""

    answers: Sequence[Answer]
    compute_seconds: float


def encode_request(rows: Sequence[Row]) -> bytes:
    """A frame of these rows.

    Raises:
        ValueError: A value is no JSON (NaN and infinities are none), or an array is not what it says.
    """
    pieces = _Pieces()
    described = [
        {
            "values": row.values,
            "arrays": pieces.add(row.arrays),
            **({"order": row.order} if row.order else {}),
        }
        for row in rows
    ]
    return pieces.frame({"rows": described})


def decode_request(frame: bytes | memoryview) -> list[Row]:
    """The rows of a frame; their arrays are views into it. Raises FrameDamaged."""
    header, body = _opened(frame)
    return [
        Row(_mapping(row.get("values")), _arrays(row, body), _order(row)) for row in _objects(header, "rows")
    ]


def encode_answers(answers: Sequence[Answer], compute_seconds: float) -> bytes:
    """A frame of these answers; NaN and infinities become null. Raises ValueError: one is no JSON."""
    pieces = _Pieces()
    described: list[dict[str, Any]] = []
    for answer in answers:
        if answer.error is not None:
            described.append({"error": answer.error})
        else:
            described.append({"value": answer.value, "arrays": pieces.add(answer.arrays)})
    header = {"answers": described, "compute_seconds": compute_seconds}
    try:
        return pieces.frame(header)
    except ValueError:
        return pieces.frame(finite(header))


def decode_answers(frame: bytes | memoryview) -> Answers:
    """The answers of a frame; their arrays are views into it. Raises FrameDamaged."""
    header, body = _opened(frame)
    answers = [
        Answer(error=str(answer["error"]))
        if "error" in answer
        else Answer(answer.get("value"), _arrays(answer, body))
        for answer in _objects(header, "answers")
    ]
    seconds = header.get("compute_seconds")
    return Answers(answers, float(seconds) if isinstance(seconds, int | float) else 0.0)


def finite(value: Any) -> Any:
    """The same JSON with null where there were NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value


class _Pieces:
    """The arrays of a frame that is being written."""

    def __init__(self) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._size = 0

    def add(self, arrays: Mapping[str, Array]) -> dict[str, dict[str, Any]]:
        """Take them in; returns what the header says of them, with offsets from the end of the header."""
        described = {}
        for name, array in arrays.items():
            data = memoryview(array.data).cast("B")
            if len(data) != _size(array.dtype, array.shape):
                raise ValueError(f"array {name!r} has {len(data):,} bytes, its shape says otherwise")
            described[name] = {"dtype": array.dtype, "shape": list(array.shape), "offset": self._size}
            self._pieces += [data, b"\0" * (-len(data) % _ALIGNMENT)]
            self._size += len(data) + -len(data) % _ALIGNMENT
        return described

    def frame(self, header: Mapping[str, Any]) -> bytes:
        text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-(len(text) + _LENGTH.size) % _ALIGNMENT)
        return b"".join([_LENGTH.pack(len(text)), text, *self._pieces])


def _opened(frame: bytes | memoryview) -> tuple[dict[str, Any], memoryview]:
    view = memoryview(frame)
    if len(view) < _LENGTH.size:
        raise FrameDamaged("the frame is shorter than its header's length")
    (length,) = _LENGTH.unpack(view[: _LENGTH.size])
    if length > min(MOST_HEADER_BYTES, len(view) - _LENGTH.size):
        raise FrameDamaged(f"the header of {length:,} bytes does not fit into the frame of {len(view):,}")
    end = _LENGTH.size + length
    try:
        header = json.loads(bytes(view[_LENGTH.size : end]), parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise FrameDamaged(f"the header is no JSON: {error}") from error
    return _mapping(header), view[end:]


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FrameDamaged(f"an object was expected, and not {type(value).__name__}")
    return value


def _objects(header: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    values = header.get(name)
    if not isinstance(values, list):
        raise FrameDamaged(f"the header has no list of {name}")
    return [_mapping(value) for value in values]


def _order(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = row.get("order", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FrameDamaged("the order of a row is no list of names")
    return tuple(names)


def _arrays(row: Mapping[str, Any], body: memoryview) -> dict[str, Array]:
    found = {}
    for name, described in _mapping(row.get("arrays")).items():
        described = _mapping(described)
        dtype, shape, offset = (described.get(key) for key in ("dtype", "shape", "offset"))
        if not isinstance(shape, list) or not isinstance(offset, int) or isinstance(offset, bool):
            raise FrameDamaged(f"array {name!r} has no shape or no offset")
        try:
            size = _size(dtype, shape)
        except ValueError as error:
            raise FrameDamaged(f"array {name!r}: {error}") from error
        if offset < 0 or offset + size > len(body):
            raise FrameDamaged(f"array {name!r} reaches beyond the frame")
        found[name] = Array(str(dtype), tuple(shape), body[offset : offset + size])
    return found


def _size(dtype: Any, shape: Sequence[Any]) -> int:
    """Bytes of an array. Raises ValueError."""
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"datatype {dtype!r} does not travel")
    if len(shape) > MOST_DIMENSIONS or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"{list(shape)} is no shape")
    return int(ITEM_BYTES[dtype] * math.prod(shape))
