"""What a program's function answers, as JSON; and arrays, as it likes to have them.

Standard library alone: it runs in environments of others, too, whether or not they hold numpy.
"""

import dataclasses
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from prediction.inference.model_process.frames import Answer, Array, finite

MOST_LEVELS = 128
"""Of lists and objects within each other: what writes answers later on knows 255."""

_SCALARS = (float, int, str, bool, type(None))
_STRUCT_CODES = {
    "bool": "?",
    "uint8": "B",
    "int8": "b",
    "uint16": "H",
    "int16": "h",
    "float16": "e",
    "uint32": "I",
    "int32": "i",
    "float32": "f",
    "uint64": "Q",
    "int64": "q",
    "float64": "d",
}


class NoJson(ValueError):
    """This value has no form in JSON; the message says which one, and where it is."""


def to_json(value: Any, where: str = "", levels: int = MOST_LEVELS) -> Any:
    """The same value of lists, dicts and plain scalars alone.

    Args:
        value: Arrays and scalars of numpy (whatever has `tolist`), dataclasses and tuples are understood.
        where: Keys that lead to it, for the message.
        levels: Of lists and objects that may be in each other.
    Raises:
        NoJson: It is something else, a set for instance, or nests deeper.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if _own_levels(value) > levels:
        raise NoJson(f"it nests deeper than {MOST_LEVELS} levels")
    inner = levels - 1
    if isinstance(value, Mapping):
        return {_key(key, where): to_json(each, f"{where}[{key!r}]", inner) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [
            each if type(each) in _SCALARS else to_json(each, f"{where}[{number}]", inner)
            for number, each in enumerate(value)
        ]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value)]
        return {name: to_json(getattr(value, name), f"{where}[{name!r}]", inner) for name in names}
    if callable(getattr(value, "tolist", None)):
        plain = value.tolist()
        if type(plain) is not type(value):  # as one of numpy's long double is
            return plain if _is_numeric(value) else to_json(plain, where, levels)
    raise NoJson(f"{type(value).__name__}{f' at {where}' if where else ''} is no JSON")


def _own_levels(value: Any) -> int:
    dimensions = getattr(value, "ndim", 1)
    return dimensions if isinstance(dimensions, int) else 1


def _is_numeric(array: Any) -> bool:
    """Whether its items are JSON for certain, and need not be looked at one by one."""
    return getattr(getattr(array, "dtype", None), "kind", "") in ("b", "i", "u", "f")


def _key(key: Any, where: str) -> str:
    plain = key.item() if callable(getattr(key, "item", None)) else key
    if isinstance(plain, str):
        return str(plain)
    if isinstance(plain, int | float):
        return str(plain)
    raise NoJson(f"a key that is {type(key).__name__}{f' at {where}' if where else ''} is no JSON")


def said_by(answer: Answer) -> Any:
    """An answer's value as JSON, its arrays as nested lists by name; null for NaN and infinities."""
    if not answer.arrays:
        return answer.value
    lists = {name: _listed(each) for name, each in as_values(answer.arrays).items()}
    return {name: lists.get(name, each) for name, each in answer.value.items()}


def _listed(values: Any) -> Any:
    if not hasattr(values, "tolist"):
        return finite(values)
    plain = values.tolist()
    # Adding them up shows one that is not finite, a hundred times as quick as looking at each.
    is_finite = values.dtype.kind != "f" or math.isfinite(float(values.sum(dtype="float64")))
    return plain if is_finite else finite(plain)


def as_values(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arrays of numpy, or nested lists in an environment without it."""
    if not arrays:
        return {}
    try:
        import numpy
    except ImportError:
        return {name: _nested(array) for name, array in arrays.items()}
    return {
        name: numpy.frombuffer(array.data, numpy.dtype(array.dtype).newbyteorder("<")).reshape(array.shape)
        for name, array in arrays.items()
    }


def _nested(array: Array) -> Any:
    items = struct.unpack(f"<{math.prod(array.shape)}{_STRUCT_CODES[array.dtype]}", array.data)
    return _folded(items, array.shape)


def _folded(items: Sequence[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return items[0]
    if len(shape) == 1:
        return list(items)
    step = math.prod(shape[1:])
    return [_folded(items[start * step : (start + 1) * step], shape[1:]) for start in range(shape[0])]
