"""A private folder with a short path, for UNIX sockets and for a Ray cluster of our own."""

import secrets
import shutil
from pathlib import Path

from common.processes import owned_folders
from common.processes.private_files import open_private

_PREFIX = "enel-engine-"


def make(token: str = "") -> Path:
    """A new folder, 0700, with a token in it; those that dead services left are removed. Blocks.

    Args:
        token: Of a cluster that is there; empty: a new one.
    """
    folder = owned_folders.make(_PREFIX)
    with open_private(token_file(folder)) as file:
        file.write((token or secrets.token_hex(32)).encode())
    return folder


def token_file(folder: Path) -> Path:
    """What whoever connects to a cluster reads: of our own, or where we are given its token."""
    return folder / "token"


def remove(folder: Path) -> None:
    """Blocks."""
    shutil.rmtree(folder, ignore_errors=True)
