"""The worker pool: what is stuck or dies is replaced, and the caller learns of it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prediction.serving.worker_pool import PoolLoad, WorkerFailed, WorkerPool
from tests.support.left_processes import has_ended


def double(value: int) -> int:
    return 2 * value


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def complain(_: int) -> None:
    raise ValueError("no such thing")


def worker_pid(_: int) -> int:
    return os.getpid()


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout_seconds=15.0)
    yield pool
    await pool.close()


async def test_answers_come_from_another_process(pool: WorkerPool) -> None:
    assert await pool.run(double, 21) == 42
    assert await pool.run(worker_pid, 0) != os.getpid()


async def test_a_stuck_worker_is_replaced() -> None:
    pool = WorkerPool(workers=1, timeout_seconds=3.0)
    try:
        with pytest.raises(WorkerFailed, match="No result within 3 s"):
            await pool.run(sleep, 600)
        assert await pool.run(double, 21) == 42
    finally:
        await pool.close()


async def test_a_worker_that_dies_is_replaced(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFailed):
        await pool.run(die, 0)
    assert await pool.run(double, 21) == 42


async def test_errors_keep_their_message(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFailed, match="no such thing"):
        await pool.run(complain, 0)


async def test_the_event_loop_goes_on_meanwhile(pool: WorkerPool, tmp_path: Path) -> None:
    """A worker that waits for the loop would never come to an end beside a loop that waits for it."""
    await pool.run(double, 1)
    work = asyncio.create_task(pool.run(wait_for, tmp_path / "turned"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.01)
        turns += 1
        if turns > 20:
            (tmp_path / "turned").touch()
    await work
    assert turns > 20


async def test_closing_ends_the_workers() -> None:
    pool = WorkerPool(workers=1, timeout_seconds=15.0)
    pid = await pool.run(worker_pid, 0)
    await pool.close()
    async with asyncio.timeout(5):
        while not has_ended(pid):
            await asyncio.sleep(0.1)


async def test_who_waits_and_what_is_computed_is_known(pool: WorkerPool, tmp_path: Path) -> None:
    assert pool.load == PoolLoad(waiting=0, computing=0)
    asked = [asyncio.create_task(pool.run_timed(wait_for, tmp_path / "go-on")) for _ in range(3)]
    async with asyncio.timeout(60):
        while pool.load != PoolLoad(waiting=2, computing=1):
            await asyncio.sleep(0.01)
    asked.pop().cancel()
    async with asyncio.timeout(60):
        while pool.load != PoolLoad(waiting=1, computing=1):
            await asyncio.sleep(0.01)
    (tmp_path / "go-on").touch()
    first, second = await asyncio.gather(*asked)
    assert 0.0 < first.wait_seconds < second.wait_seconds
    assert pool.load == PoolLoad(waiting=0, computing=0)


_PREPARED: list[float] = []
"""In a worker."""


def prepare_slowly() -> None:
    time.sleep(2.0)
    _PREPARED.append(time.monotonic())


def preparations(_: int) -> int:
    return len(_PREPARED)


async def test_what_workers_are_to_prepare_later_takes_no_time_of_a_request() -> None:
    pool = WorkerPool(workers=1, timeout_seconds=1.0)
    try:
        assert await pool.run(preparations, 0) == 0
        pool.prepare(prepare_slowly)
        pool.prepare(prepare_slowly)
        assert [await pool.run(preparations, 0) for _ in range(2)] == [1, 1]
        with pytest.raises(WorkerFailed):
            await pool.run(die, 0)
        assert await pool.run(preparations, 0) == 1, "one that takes its place does so at its start"
    finally:
        await pool.close()
