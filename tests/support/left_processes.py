"""Processes that a service has started, and whether any is left."""

import asyncio
from pathlib import Path

import psutil


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whatever runs with this folder on its command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


async def all_gone(folder: Path, seconds: float = 20) -> bool:
    for _ in range(int(seconds * 10)):
        if not processes_of(folder):
            return True
        await asyncio.sleep(0.1)
    return False
