"""The service's own folder."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from common.errors import StartError
from common.processes.private_files import make_private


@asynccontextmanager
async def locked_data_dir(folder: Path) -> AsyncIterator[Path]:
    """The folder, held for this service alone until the context ends.

    Raises:
        StartError: It cannot be used, or another service uses it.
    """
    folder, lock = await asyncio.to_thread(_lock, folder)
    with lock:
        yield folder


def _lock(folder: Path) -> tuple[Path, TextIO]:
    try:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        make_private(folder)
        lock = (folder / "service.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartError(
            f"DATA_DIR: another service is using {folder}; set DATA_DIR to a folder of its own."
        ) from error
    except (OSError, RuntimeError) as error:  # the latter of links in a circle
        reason = error.strerror if isinstance(error, OSError) else "its links lead nowhere"
        raise StartError(f"DATA_DIR: {folder} cannot be used: {reason}.") from error
    return folder, lock
