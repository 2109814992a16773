"""What trainings and comparisons have left that ended with their service: histories, logs, Ray's tokens."""

import shutil
from pathlib import Path

from common.processes import owned_folders
from training.search.config import RAY_HOME


def remove_left(folder: Path) -> None:
    """Remove it before anything is carried out. Blocks.

    Args:
        folder: Where the folders of this service's trainings and comparisons are, and no other's.
    """
    for left in folder.glob("*"):
        shutil.rmtree(left, ignore_errors=True)
    owned_folders.remove_left(RAY_HOME)
