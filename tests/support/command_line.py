"""`enel` as people call it, and what it leaves behind."""

from collections.abc import Callable
from dataclasses import dataclass

LEARNED = "Learned"
"""An algorithm with a history and two versions of a model, the second of which serves."""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Enel = Callable[..., Ran]
