"""How much memory a process and all that descend from it take."""

import contextlib

import psutil


def tree_of(pid: int) -> list[psutil.Process]:
    """The process and its descendants; empty where it has ended."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def exceeded_bytes(pid: int, limit_bytes: int) -> int:
    """What they take in memory where that is more than the limit, otherwise 0.

    Memory that several of them share counts once, as far as the system tells; asking that takes long, so it
    is asked only where the simple sum is too much.
    """
    tree = tree_of(pid)
    resident = sum(_resident(process) for process in tree)
    if resident <= limit_bytes or len(tree) == 1:
        return resident if resident > limit_bytes else 0
    proportional = sum(_proportional(process) for process in tree)
    return proportional if proportional > limit_bytes else 0


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):  # AttributeError: not on Linux
        return _resident(process)
