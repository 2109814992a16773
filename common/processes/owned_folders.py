"""Folders for as long as a process lives, with short paths; what processes that died have left is removed."""

import contextlib
import logging
import shutil
import tempfile
from pathlib import Path

from common.processes.guarded import owner_is_dead, service_identity

logger = logging.getLogger(__name__)

_OWNER = "owner"
_LONGEST = 20
"""Of the folder above: what Ray puts below leaves no more of a UNIX socket's 107 bytes."""


def make(prefix: str) -> Path:
    """A new folder, 0700, whose name begins like that; those that dead processes left are removed. Blocks."""
    remove_left(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_above()))
    (folder / _OWNER).write_text(service_identity())
    return folder


def remove_left(prefix: str) -> None:
    """Remove folders whose names begin like that, and whose processes are known to have died. Blocks."""
    for left in _above().glob(f"{prefix}*"):
        with contextlib.suppress(OSError, ValueError):  # another user's, or just being made
            if owner_is_dead((left / _OWNER).read_text()):
                logger.info("Removing %s, which a process has left", left)
                shutil.rmtree(left, ignore_errors=True)


def _above() -> Path:
    above = Path(tempfile.gettempdir())
    return above if len(str(above)) <= _LONGEST else Path("/tmp")  # noqa: S108 - what is made there is ours
