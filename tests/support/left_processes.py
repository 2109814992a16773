"""Processes that a service has started, and whether any is left.

Each may end between two looks at it, which psutil answers with an exception.
"""

import asyncio
from pathlib import Path

import psutil


def has_ended(process: psutil.Process | int) -> bool:
    """Whether it computes no longer, though its parent may not know yet."""
    try:
        one = psutil.Process(process) if isinstance(process, int) else process
        return not one.is_running() or one.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def command_line(process: psutil.Process) -> list[str]:
    """Empty where it has ended."""
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whatever runs with this folder on its command line."""
    return [
        process
        for process in psutil.process_iter()
        if any(str(folder) in part for part in command_line(process)) and not has_ended(process)
    ]


def mongod_of(folder: Path) -> psutil.Process:
    """The one that keeps its data there."""
    [found] = [each for each in processes_of(folder) if Path(command_line(each)[0]).name == "mongod"]
    return found


async def all_gone(folder: Path, seconds: float = 20) -> bool:
    for _ in range(int(seconds * 10)):
        if not processes_of(folder):
            return True
        await asyncio.sleep(0.1)
    return False
