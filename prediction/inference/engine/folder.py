"""A private folder with a short path, for UNIX sockets and for a Ray cluster of our own."""

import contextlib
import logging
import secrets
import shutil
import tempfile
from pathlib import Path

from common.processes.guarded import owner_is_dead, service_identity
from common.processes.private_files import open_private

logger = logging.getLogger(__name__)

_PREFIX = "enel-engine-"
_OWNER = "owner"
_LONGEST = 20
"""Of the folder above ours: what Ray puts below leaves no more of a UNIX socket's 107 bytes."""


def make(token: str = "") -> Path:
    """A new folder, 0700, with a token in it; those that dead services left are removed. Blocks.

    Args:
        token: Of a cluster that is there; empty: a new one.
    """
    above = Path(tempfile.gettempdir())
    if len(str(above)) > _LONGEST:
        above = Path("/tmp")  # noqa: S108 - what is made there is ours alone
    for left in above.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's
            if owner_is_dead((left / _OWNER).read_text()):
                logger.info("Removing %s, which a service has left", left)
                remove(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
    (folder / _OWNER).write_text(service_identity())
    with open_private(token_file(folder)) as file:
        file.write((token or secrets.token_hex(32)).encode())
    return folder


def token_file(folder: Path) -> Path:
    """What whoever connects to a cluster reads: of our own, or where we are given its token."""
    return folder / "token"


def remove(folder: Path) -> None:
    """Blocks."""
    shutil.rmtree(folder, ignore_errors=True)
