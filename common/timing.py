"""How long an answer takes, and each of its phases."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

FAILED = "failed"

Count = Callable[[str, Mapping[str, float]], None]
"""Takes what answered, and seconds by phase, `total` among them."""


class Timing:
    """Times one answer from now on. As a context it is counted when that ends; otherwise it is not counted.

    Attributes:
        answered_by: Failed, unless told otherwise.
    """

    def __init__(self, count: Count) -> None:
        self.answered_by = FAILED
        self._count = count
        self._seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @property
    def elapsed_seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done in the context."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = time.perf_counter() - started

    def spent(self, **seconds: float) -> None:
        """Phases that were timed elsewhere; those that took no time did not take place."""
        self._seconds |= {name: value for name, value in seconds.items() if value > 0}

    def __enter__(self) -> "Timing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):  # else the service stops, and nobody is answered
            self._count(self.answered_by, {**self._seconds, "total": self.elapsed_seconds})
