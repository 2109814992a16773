"""Workers that are killed at any moment: others go on, and what was not answered is tried once more."""

import asyncio
import multiprocessing.connection
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from prediction.serving.worker_pool import WorkerFailed, WorkerPool
from tests.support.left_processes import has_ended

_PATIENCE_SECONDS = 180.0
"""For what used to wait for ever."""

_LARGE_BYTES = 64 << 20


def double(value: int) -> int:
    return 2 * value


def worker_pid(_: int) -> int:
    return os.getpid()


def note_and_wait(folder: Path, number: int) -> int:
    """Says who computes, and answers once it may."""
    with (folder / "computing").open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    while not (folder / "go").exists():
        threading.Event().wait(0.01)
    return number


def die_at(file: Path, number: int) -> int:
    """Kills its worker, each time it is asked."""
    with file.open("a") as attempts:
        attempts.write(f"{number}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_while_sending(file: Path, always: bool) -> bytes:
    """A large answer whose worker is killed when half of it is in the pipe."""
    if not file.exists() or always:
        send = multiprocessing.connection.Connection._send  # type: ignore[attr-defined]

        def send_half(self: Any, data: Any, *rest: Any) -> None:
            if len(data) < _LARGE_BYTES:
                send(self, data, *rest)
                return
            send(self, data[: _LARGE_BYTES // 2], *rest)
            file.touch()
            os.kill(os.getpid(), signal.SIGKILL)

        multiprocessing.connection.Connection._send = send_half  # type: ignore[attr-defined]
    return bytes(_LARGE_BYTES)


class DiesWhenPickled:
    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def answer_that_kills(_: int) -> DiesWhenPickled:
    return DiesWhenPickled()


async def within_patience(answer: Any) -> Any:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return await answer


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not (met := condition()):
            await asyncio.sleep(0.02)
    return met


def kill(pid: int) -> None:
    """Returns when the process has ended, though its parent may not know yet."""
    process = psutil.Process(pid)
    process.kill()
    while not has_ended(process):
        threading.Event().wait(0.01)


def computing(folder: Path) -> dict[int, int]:
    """Request to the worker that computes it."""
    file = folder / "computing"
    lines = file.read_text().splitlines() if file.exists() else []
    return {int(number): int(pid) for number, pid in (line.split() for line in lines)}


open_pool = partial(WorkerPool, deadline_seconds=_PATIENCE_SECONDS)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = open_pool(workers=1, timeout_seconds=_PATIENCE_SECONDS)
    yield pool
    await pool.close()


@pytest.fixture
async def two_workers() -> AsyncIterator[WorkerPool]:
    pool = open_pool(workers=2, timeout_seconds=_PATIENCE_SECONDS)
    yield pool
    await pool.close()


async def test_an_idle_worker_that_is_killed_is_replaced(pool: WorkerPool) -> None:
    for _ in range(2):
        pid = await pool.run(worker_pid, 0)
        kill(pid)
        assert await within_patience(pool.run(double, 21)) == 42
        assert await pool.run(worker_pid, 0) != pid


async def test_a_worker_that_is_killed_while_it_sends_its_answer(pool: WorkerPool, tmp_path: Path) -> None:
    died = tmp_path / "died"
    answer = await within_patience(pool.run(partial(die_while_sending, died), False))
    assert died.exists()
    assert len(answer) == _LARGE_BYTES
    assert await within_patience(pool.run(double, 21)) == 42


async def test_a_request_whose_answer_never_arrives_fails_and_holds_nobody_up(
    pool: WorkerPool, tmp_path: Path
) -> None:
    with pytest.raises(WorkerFailed, match="The worker process ended"):
        await within_patience(pool.run(partial(die_while_sending, tmp_path / "died"), True))
    assert await within_patience(pool.run(double, 21)) == 42


async def test_an_answer_that_kills_its_worker_while_it_is_pickled(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFailed, match="The worker process ended"):
        await within_patience(pool.run(answer_that_kills, 0))
    assert await within_patience(pool.run(double, 21)) == 42


async def test_concurrent_requests_survive_the_death_of_a_worker(
    two_workers: WorkerPool, tmp_path: Path
) -> None:
    """Two compute and four wait when one worker is killed: it alone is replaced, its request repeated."""
    answers = [
        asyncio.create_task(two_workers.run(partial(note_and_wait, tmp_path), number)) for number in range(6)
    ]
    pids = await until(lambda: len(found := computing(tmp_path)) == 2 and found)
    killed = next(iter(pids))
    kill(pids[killed])
    await until(lambda: computing(tmp_path)[killed] != pids[killed])
    (tmp_path / "go").touch()
    assert await within_patience(asyncio.gather(*answers)) == list(range(6))
    lines = (tmp_path / "computing").read_text().splitlines()
    attempts = Counter(int(line.split()[0]) for line in lines)
    assert attempts == {number: 1 + (number == killed) for number in range(6)}
    assert two_workers.counts.replacements == 1


async def test_a_request_that_kills_its_workers_is_tried_twice_and_harms_nobody(
    two_workers: WorkerPool, tmp_path: Path
) -> None:
    deadly = asyncio.create_task(two_workers.run(partial(die_at, tmp_path / "attempts"), 7))
    others = [asyncio.create_task(two_workers.run(double, number)) for number in range(20)]
    assert await within_patience(asyncio.gather(*others)) == [2 * number for number in range(20)]
    with pytest.raises(WorkerFailed, match="The worker process ended"):
        await within_patience(deadly)
    assert (tmp_path / "attempts").read_text().splitlines() == ["7", "7"]
    assert two_workers.counts.replacements == 2


async def test_all_workers_killed_at_once_are_replaced(two_workers: WorkerPool, tmp_path: Path) -> None:
    answers = [
        asyncio.create_task(two_workers.run(partial(note_and_wait, tmp_path), number)) for number in range(4)
    ]
    pids = await until(lambda: len(found := computing(tmp_path)) == 2 and found)
    for pid in pids.values():
        kill(pid)
    (tmp_path / "go").touch()
    assert await within_patience(asyncio.gather(*answers)) == list(range(4))
    assert two_workers.counts.replacements == 2


async def test_waiting_for_a_worker_has_a_deadline(tmp_path: Path) -> None:
    pool = open_pool(workers=1, timeout_seconds=_PATIENCE_SECONDS)
    try:
        first = asyncio.create_task(pool.run(partial(note_and_wait, tmp_path), 1))
        await until(lambda: computing(tmp_path))
        pool.deadline_seconds = 0.2
        with pytest.raises(WorkerFailed, match=r"No worker was free within 0\.2 s"):
            await pool.run(partial(note_and_wait, tmp_path), 2)
        assert pool.counts.deadline_overruns == 1
        (tmp_path / "go").touch()
        assert await first == 1
        pool.deadline_seconds = _PATIENCE_SECONDS
        assert await pool.run(double, 21) == 42
        assert set(computing(tmp_path)) == {1}, "nobody waited for the answer of the second"
        assert pool.counts.replacements == 0
    finally:
        await pool.close()


async def test_who_gives_up_on_a_running_request_frees_its_worker(pool: WorkerPool, tmp_path: Path) -> None:
    work = asyncio.create_task(pool.run(partial(note_and_wait, tmp_path), 1))
    await until(lambda: computing(tmp_path))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert await within_patience(pool.run(double, 21)) == 42


async def test_a_deadline_that_passes_while_a_request_runs_says_so(pool: WorkerPool, tmp_path: Path) -> None:
    await pool.run(double, 1)
    pool.deadline_seconds = 2.0
    with pytest.raises(WorkerFailed, match="No result within 2 s, waiting for a worker included"):
        await pool.run(partial(note_and_wait, tmp_path), 1)
    pool.deadline_seconds = _PATIENCE_SECONDS
    assert await pool.run(double, 21) == 42


async def test_closing_ends_requests_and_workers(tmp_path: Path) -> None:
    pool = open_pool(workers=2, timeout_seconds=_PATIENCE_SECONDS)
    pool.warm_up()
    answers = [asyncio.create_task(pool.run(partial(note_and_wait, tmp_path), n)) for n in range(5)]
    pids = await until(lambda: len(found := computing(tmp_path)) == 2 and found)
    await pool.close()
    failures = await within_patience(asyncio.gather(*answers, return_exceptions=True))
    assert all(isinstance(failure, WorkerFailed) for failure in failures)
    assert all(has_ended(pid) for pid in pids.values())
    with pytest.raises(WorkerFailed, match="closed"):
        await pool.run(double, 1)
    assert len(computing(tmp_path)) == 2
