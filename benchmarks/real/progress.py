"""How far a sitting is, and what is left."""

import time
from collections.abc import Callable

from rich.console import Console


class Progress:
    """Of runs that take about as long as those before them.

    Args:
        left: Runs of this sitting.
    """

    def __init__(self, console: Console, left: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._left, self._clock = console, left, clock
        self._begun, self._done = clock(), 0

    def done(self, name: str, outcome: str) -> None:
        self._done += 1
        self._left -= 1
        seconds = (self._clock() - self._begun) / self._done * self._left
        self._console.print(f"{name}: {outcome}. {self._left} left, about {_in_words(seconds)}.")


def _in_words(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
