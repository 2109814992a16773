"""The worker pool: what is stuck or dies is replaced, and the caller learns of it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from prediction.worker import WorkerFailed, WorkerPool


def double(value: int) -> int:
    return 2 * value


def sleep(seconds: float) -> None:
    time.sleep(seconds)


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


async def test_the_event_loop_goes_on_meanwhile(pool: WorkerPool) -> None:
    await pool.run(double, 1)
    work = asyncio.create_task(pool.run(sleep, 1.0))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 2  # a loop that waits for the worker turns once


async def test_closing_ends_the_workers() -> None:
    pool = WorkerPool(workers=1, timeout_seconds=15.0)
    pid = await pool.run(worker_pid, 0)
    await pool.close()
    for _ in range(50):
        if not psutil.pid_exists(pid):
            break
        await asyncio.sleep(0.1)
    assert not psutil.pid_exists(pid)
