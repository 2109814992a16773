"""What questions and answers hold, about, and where it is so much that it is worked on in a thread."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from prediction.inference.model_process.frames import Row

QUICK_BYTES = 256 << 10
"""Up to here something is read or written where it comes; what is larger, in a thread."""

_ROW_BYTES = 512
_ITEM_BYTES = 8

_NUMBERS = frozenset([int, float, bool, type(None)])

Result = TypeVar("Result")


def row_bytes(row: Row) -> int:
    """About what a row takes, on its way and in memory. It blocks where values are large."""
    return _ROW_BYTES + sum(len(each.data) for each in row.arrays.values()) + json_bytes(row.values)


def json_bytes(value: Any) -> int:
    """About what a value takes as JSON. It blocks where it is large."""
    size, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str | bytes):
            size += len(each)
        elif isinstance(each, list):
            size += _ITEM_BYTES * len(each)
            if not _NUMBERS.issuperset(map(type, each)):
                waiting += each
        elif isinstance(each, dict):
            size += _ITEM_BYTES * len(each) + sum(map(len, each))
            waiting += each.values()
        else:
            size += _ITEM_BYTES
    return size


async def off_the_loop(size_bytes: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function returns that takes time with a size; in a thread where that is large."""
    if size_bytes <= QUICK_BYTES:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)
