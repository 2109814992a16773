"""What the files of a version say of it, and what they are called in the store."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from submission.programs.figures import (
    METRICS_FILE,
    MOST_BYTES,
    SIGNATURE_FILE,
    Unreadable,
    read_figures,
    read_object,
    storable,
)

_PLAIN = re.compile(r"(?!file-)[A-Za-z0-9][A-Za-z0-9 ._+-]{0,199}")
"""A path that can be the name of a file in an artifact."""


def stored_names(paths: Sequence[str]) -> dict[str, str]:
    """What each file is called in an artifact, which has no folders, by its path."""
    return {
        path: path if _PLAIN.fullmatch(path) else f"file-{number:05d}" for number, path in enumerate(paths)
    }


@dataclass
class Told:
    """What a version says of itself; what nobody can read costs it nothing but that."""

    metrics: dict[str, float] = field(default_factory=dict)
    signature: dict[str, Any] | None = None
    complaint: str = ""


def told_by(content: Mapping[str, bytes]) -> Told:
    """Figures and signature, from files by path."""
    told = Told()
    try:
        if (found := _small(content, METRICS_FILE)) is not None:
            told.metrics = read_figures(found)
        if (found := _small(content, SIGNATURE_FILE)) is not None:
            told.signature = storable(read_object(found, SIGNATURE_FILE))
    except Unreadable as error:
        told.complaint = str(error)[:1000]
    return told


def _small(content: Mapping[str, bytes], path: str) -> bytes | None:
    found = content.get(path)
    if found is not None and len(found) > MOST_BYTES:
        raise Unreadable(f"{path} is larger than {MOST_BYTES:,} bytes.")
    return found
