"""Work beside the event loop: in a thread, without the garbage collections that it would bring about.

Documents of megabytes become some hundred thousand objects, none of them in a cycle. A full collection among
them holds the interpreter for tenths of a second, and with it every request; counting references frees them.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_lock = threading.Lock()
_at_work = 0
_was_enabled = False


async def beside(
    work: Callable[Arguments, Result], *args: Arguments.args, **more: Arguments.kwargs
) -> Result:
    """What some work returns that is done in Python, in many small steps between which others have turns."""

    def carried_out() -> Result:
        with without_collections():
            return work(*args, **more)

    return await asyncio.to_thread(carried_out)


@contextmanager
def without_collections() -> Iterator[None]:
    """As long as any thread is in here, no garbage is collected; afterwards as before."""
    global _at_work, _was_enabled
    with _lock:
        if _at_work == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if _at_work == 0 and _was_enabled:
                gc.enable()
