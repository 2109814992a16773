"""The version that serves, to go on from."""

import hashlib
import os
from pathlib import Path
from typing import Any

from model import WEIGHTS, load


class NoParent(Exception):
    """There is no version to go on from; the message says why."""


def parent_weights() -> tuple[str, dict[str, Any]]:
    """SHA-256 of its weights, and the weights. Raises NoParent."""
    folder = os.environ.get("ENEL_PARENT_VERSION")
    if not folder:
        raise NoParent("--from-parent: no version serves yet; start without it.")
    path = Path(folder, WEIGHTS)
    if not path.is_file():
        raise NoParent(f"--from-parent: the version that serves has no {WEIGHTS}.")
    return hashlib.sha256(path.read_bytes()).hexdigest(), load(Path(folder)).state_dict()
