"""Work beside the event loop: no collection meanwhile, and as before when the last of it has ended."""

import asyncio
import gc
import threading

import pytest

from common.beside import beside


async def test_work_is_done_in_a_thread_without_collections() -> None:
    assert gc.isenabled()
    first, second = threading.Event(), threading.Event()

    def wait(until: threading.Event) -> tuple[bool, bool]:
        until.wait(30.0)
        return gc.isenabled(), threading.current_thread() is threading.main_thread()

    waiting = [asyncio.create_task(beside(wait, until)) for until in (first, second)]
    await asyncio.sleep(0.1)
    first.set()
    assert await waiting[0] == (False, False)
    assert not gc.isenabled()
    second.set()
    assert await waiting[1] == (False, False)
    assert gc.isenabled()


async def test_work_that_fails_leaves_collections_as_they_were() -> None:
    with pytest.raises(ValueError, match="no"):
        await beside(int, "no")
    assert gc.isenabled()
    gc.disable()
    try:
        assert await beside(int, "3") == 3
        assert not gc.isenabled()
    finally:
        gc.enable()
