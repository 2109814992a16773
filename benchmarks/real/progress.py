"""A sitting: one run after the other, how far it is, and what is left."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console

from benchmarks.real.platform import NotMeasured, RunFailed
from benchmarks.real.recordings import NotAnonymous

Planned = TypeVar("Planned")

_MOST_FAILURES = 3
"""In a row; then something else is wrong than a run."""


def carry_out(
    left: Sequence[Planned],
    name: Callable[[Planned], str],
    run: Callable[[Planned], str],
    console: Console,
    failed: Callable[[Planned, RunFailed], None] = lambda _, __: None,
) -> None:
    """Carry out and store what is left of a plan; what could not be measured is left for the next sitting.

    Args:
        run: Carries one out, stores it, and says what came of it.
        failed: Told of applications that did not complete.
    Raises:
        SystemExit: One run after the other fails.
    """
    progress, failures = Progress(console, len(left)), 0
    for each in left:
        try:
            outcome = run(each)
        except (RunFailed, NotAnonymous) as failure:
            failures += 1
            if isinstance(failure, RunFailed) and not isinstance(failure, NotMeasured):
                failed(each, failure)
            progress.done(name(each), f"[red]failed[/]: {failure}")
            if failures == _MOST_FAILURES:
                raise SystemExit(f"{failures} runs in a row have failed") from failure
            continue
        failures = 0
        progress.done(name(each), outcome)


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
