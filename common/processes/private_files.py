"""Files and folders that only the service's user can read."""

import logging
import os
import stat
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)


def open_private(path: Path) -> IO[bytes]:
    """The file, emptied, to write to; others cannot read it, even where they could before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def make_private(folder: Path) -> None:
    """Keep others out of a folder of our own; of one that is shared on purpose, say that they are in."""
    found = folder.stat()
    if not found.st_mode & 0o077:
        return
    if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
        folder.chmod(0o700)
    elif found.st_mode & 0o007:
        logger.warning("DATA_DIR: other users of this machine can look into %s", folder)
