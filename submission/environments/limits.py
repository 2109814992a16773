"""How much a build may take of the machine, watched from outside.

Memory is what the whole tree of processes occupies: RLIMIT_AS would bound each process for itself, of
which a build starts many, and counts addresses that nobody ever touches. What is looked at now and then
can be passed in between; a limit of the container around the service is the one that holds.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

_LOOK_SECONDS = 0.5
_LOOKS_PER_MEASURE = 4
"""Walking through a folder with thousands of files takes longer than looking at processes."""


class BuildFailed(Exception):
    """A build has ended without a packed file; the message says why, in words for whoever asked."""


class LimitReached(BuildFailed):
    """It took more than it may."""


@dataclass(frozen=True)
class BuildLimits:
    """Of one build."""

    seconds: float
    memory_bytes: int
    """Of all its processes together."""
    disk_bytes: int
    """Of its folder, with downloads and what is unpacked."""
    packed_bytes: int
    """Of the packed file."""


async def watch(pid: int, folder: Path, limits: BuildLimits) -> NoReturn:
    """Look at a process, all that it started, and its folder, until it takes too much.

    Raises:
        LimitReached: It does now.
    """
    looks = 0
    while True:
        occupied = await asyncio.to_thread(_memory_bytes, pid)
        if occupied > limits.memory_bytes:
            raise LimitReached(
                f"The build takes {_mib(occupied)} of memory; ENVIRONMENT_BUILD_MEMORY allows"
                f" {_mib(limits.memory_bytes)}."
            )
        if looks % _LOOKS_PER_MEASURE == 0:
            used = await asyncio.to_thread(_disk_bytes, folder)
            if used > limits.disk_bytes:
                raise LimitReached(
                    f"The build takes {_mib(used)} of disk; {_mib(limits.disk_bytes)} are allowed for an"
                    f" environment of ENVIRONMENT_MAX_BYTES ({_mib(limits.packed_bytes)})."
                )
        looks += 1
        await asyncio.sleep(_LOOK_SECONDS)


def check_packed(size_bytes: int, limits: BuildLimits) -> None:
    """Raises LimitReached where the packed file is too large."""
    if size_bytes > limits.packed_bytes:
        raise LimitReached(
            f"The packed environment has {_mib(size_bytes)}; ENVIRONMENT_MAX_BYTES allows"
            f" {_mib(limits.packed_bytes)}. Leave out what the program does not import."
        )


def _memory_bytes(pid: int) -> int:
    """Resident memory of the processes below one, what they share counted for each."""
    try:
        processes = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _disk_bytes(folder: Path) -> int:
    """What the files below a folder occupy; those with several names count once."""
    seen: dict[tuple[int, int], int] = {}
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(where, name))  # noqa: PTH118 - thousands of files
            except OSError:
                continue
            seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.0f} MiB"
