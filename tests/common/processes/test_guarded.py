"""No child outlives the service, however either of them ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from common.processes.guarded import GuardedProcess, owner_is_dead, service_identity
from common.settings.group import PROJECT_ROOT
from tests.support.clocks import Clocks
from tests.support.left_processes import command_line

STUBBORN = "trap '' TERM; (setsid sleep 4711 &); sleep 4711 & echo started; sleep 4711"
"""A command that ignores being asked, with a child in a session of its own."""


def sleepers() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if command_line(process) == ["sleep", "4711"]]


async def some_there() -> bool:
    """Whether what was forked has become what it is to be."""
    for _ in range(200):
        if sleepers():
            return True
        await asyncio.sleep(0.1)
    return False


async def none_left() -> bool:
    for _ in range(100):
        if not sleepers():
            return True
        await asyncio.sleep(0.1)
    return False


async def started(grace_seconds: float) -> GuardedProcess:
    process = await GuardedProcess.start(
        "sh", "-c", STUBBORN, stdout=asyncio.subprocess.PIPE, grace_seconds=grace_seconds
    )
    assert await process.stdout.readline() == b"started\n"
    return process


async def test_stopping_ends_everything_the_command_started() -> None:
    process = await started(0.2)
    assert await some_there()
    await process.stop()
    assert not sleepers()


async def test_the_command_s_exit_code_comes_through_and_its_orphans_end() -> None:
    process = await GuardedProcess.start("sh", "-c", "sleep 4711 & exit 7")
    assert await process.wait() == 7
    assert not sleepers()


async def test_orphans_that_end_are_collected_while_the_command_runs() -> None:
    script = "for _ in 1 2 3; do (sh -c 'sleep 0.1' &); done; sleep 0.3; echo started; sleep 4711"
    process = await GuardedProcess.start("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    assert await process.stdout.readline() == b"started\n"
    guard = psutil.Process(process.pid)
    async with asyncio.timeout(10):
        while len(guard.children()) > 1:
            await asyncio.sleep(0.05)
    await process.stop()
    assert not sleepers()


async def test_ending_the_guard_ends_the_command() -> None:
    process = await started(0.2)
    os.kill(process.pid, signal.SIGTERM)
    await process.wait()
    assert not sleepers()


async def test_a_killed_service_leaves_nothing(tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    program.write_text(
        "import asyncio, sys\n"
        "from common.processes.guarded import GuardedProcess\n"
        "async def main():\n"
        f"    process = await GuardedProcess.start('sh', '-c', {STUBBORN!r},\n"
        "        stdout=asyncio.subprocess.PIPE, grace_seconds=0.2)\n"
        "    print((await process.stdout.readline()).decode(), flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    assert service.stdout is not None
    assert await service.stdout.readline() == b"started\n"
    assert await some_there()
    service.kill()
    await service.wait()
    assert await none_left()


async def test_a_command_that_does_not_exist_is_told_by_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    process = await GuardedProcess.start("/nowhere/at-all")
    assert await process.wait() != 0


def test_a_service_stays_the_same_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = service_identity()
    Clocks(monkeypatch).set_back(hours=2)
    assert service_identity() == before
    assert not owner_is_dead(before)


def test_a_process_that_has_ended_is_known_to_be_dead() -> None:
    host, _, start = service_identity().rsplit("/", 2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert owner_is_dead(f"{host}/{ended.pid}/{start}")
    assert owner_is_dead(f"{host}/{os.getpid()}/{start[1:]}"), "its id belongs to another process by now"
    assert not owner_is_dead(f"another-host/{ended.pid}/{start}")
