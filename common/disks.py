"""Disks that are full, or that nobody may write to: what is said of them."""

import errno
import os
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)

_LITTLE_BYTES = 256 << 20
"""MongoDB takes room for its journal 16 MiB at a time, and for its collections beside it."""


def is_of_the_disk(error: BaseException) -> bool:
    """Whether something was not written because of the disk that it belongs on."""
    return isinstance(error, OSError) and (is_full(error) or is_read_only(error))


def is_full(error: OSError) -> bool:
    """Whether something was not written because there is no room."""
    return error.errno in _FULL


def is_read_only(error: OSError) -> bool:
    """Whether something was not written because nothing may be."""
    return error.errno == errno.EROFS


def why_not_written(error: OSError, setting: str) -> str:
    """For whoever asked, with the setting to look at.

    Args:
        setting: That names the folder, such as `DATA_DIR`.
    """
    if is_full(error):
        why = "its disk is full"
    elif is_read_only(error):
        why = "its disk is read-only"
    else:
        why = f"it cannot be used: {error.strerror or type(error).__name__}"
    name = error.filename
    return (
        f"{setting}: {why} ({os.fsdecode(name)})." if isinstance(name, str | bytes) else f"{setting}: {why}."
    )


def little_room(folder: Path, setting: str) -> str:
    """That a folder's disk has hardly any room left; empty where it has, or nobody can tell."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return ""
    if usage.free >= _LITTLE_BYTES:
        return ""
    return f"{setting}: the disk of {folder} has {usage.free >> 20} MiB left of {usage.total >> 20}"
