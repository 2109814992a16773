"""How much may wait, of one model and of all together: whoever comes then is told to come again.

A model may always have its equal share of the whole; what others do not use of theirs it may have, too. So
one model's flood is refused before it takes the place of another's questions. Of a model's queue one caller
may have all of it while nobody else asks, and half of it as soon as somebody does, until nobody else has for
a while: what waits then is answered, and what comes is refused until it is half.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.errors import InvalidRequest, PayloadTooLarge, ServiceError

_SHARE = 0.5
"""Of a model's queue that one caller may have while others ask, too."""

_LATELY_SECONDS = 30.0
"""So long somebody who has asked counts as one who asks."""


class QueueFull(ServiceError):
    """More waits than may; `Retry-After` says when to come again."""

    status, title = 429, "Too many questions wait"

    def __init__(self, detail: str, after_seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, round(after_seconds)))})


@dataclass(frozen=True)
class Wanted:
    """A place in a model's queue.

    Attributes:
        most_rows: Of this model, waiting and being computed.
        seconds_each: What a row takes lately, to say when to come again.
        caller: Who asks.
    """

    model: str
    rows: int
    size_bytes: int
    most_rows: int
    seconds_each: float
    caller: str = ""


class Admission:
    """Of one service."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        most_bytes: Of questions of all models together.
        """
        self.most_bytes = most_bytes
        self._clock = clock
        self._bytes: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._of_callers: Counter[tuple[str, str]] = Counter()
        self._asked: dict[str, list[tuple[str, float]]] = {}
        """Of each model the last two who asked, and when: the last one first."""
        self.refused: Counter[str] = Counter()
        """Rows since the start, by model."""

    def waiting(self, model: str) -> int:
        """Rows of a model that have been admitted and not answered."""
        return self._rows[model]

    @contextmanager
    def admitted(self, wanted: Wanted) -> Iterator["Place"]:
        """While rows wait and are computed.

        Raises:
            InvalidRequest, PayloadTooLarge: There never will be a place for so much.
            QueueFull: There is none now.
        """
        self._note(wanted)
        self._check_rows(wanted)
        self._check_bytes(wanted, wanted.size_bytes, wanted.size_bytes)
        key = (wanted.model, wanted.caller)
        self._rows[wanted.model] += wanted.rows
        self._of_callers[key] += wanted.rows
        self._bytes[wanted.model] += wanted.size_bytes
        place = Place(self, wanted)
        try:
            yield place
        finally:
            self._rows[wanted.model] -= wanted.rows
            self._of_callers[key] -= wanted.rows
            self._bytes[wanted.model] -= place.size_bytes
            if self._of_callers[key] <= 0:
                del self._of_callers[key]
            if self._rows[wanted.model] <= 0:
                del self._rows[wanted.model], self._bytes[wanted.model]

    def grow(self, wanted: Wanted, from_bytes: int, to_bytes: int) -> None:
        """Take more memory for what has its place. Raises QueueFull or PayloadTooLarge."""
        self._check_bytes(wanted, to_bytes - from_bytes, to_bytes)
        self._bytes[wanted.model] += to_bytes - from_bytes

    def _check_rows(self, wanted: Wanted) -> None:
        waiting, most = self._rows[wanted.model], wanted.most_rows
        if waiting + wanted.rows > most and waiting:
            self._refuse(wanted, f"{waiting} rows of {wanted.model} wait (max_queue_rows is {most})")
        if wanted.rows > most:
            raise InvalidRequest(
                f"{wanted.rows} rows are more than may ever wait (max_queue_rows {wanted.most_rows})."
            )
        own = self._of_callers[wanted.model, wanted.caller]
        if own and own + wanted.rows > most * _SHARE and self._others_ask(wanted):
            self._refuse(
                wanted,
                f"{own} rows of yours wait for {wanted.model}, and others ask it, too: then one caller may"
                f" have half of its {most} places",
            )

    def _check_bytes(self, wanted: Wanted, more_bytes: int, size_bytes: int) -> None:
        if size_bytes > self.most_bytes:
            raise PayloadTooLarge(
                f"The question takes more than the {self.most_bytes:,} bytes that may wait"
                " (SERVING_MAX_WAITING_BYTES)."
            )
        together = self._bytes.total() + more_bytes
        share = self.most_bytes / (1 + len({*self._bytes} - {wanted.model}))
        if together > self.most_bytes and self._bytes[wanted.model] + more_bytes > share:
            self._refuse(wanted, "questions of all models together take too much memory")

    def _note(self, wanted: Wanted) -> None:
        before = self._asked.get(wanted.model, [])
        others = [each for each in before if each[0] != wanted.caller]
        self._asked[wanted.model] = [(wanted.caller, self._clock()), *others[:1]]

    def _others_ask(self, wanted: Wanted) -> bool:
        since = self._clock() - _LATELY_SECONDS
        return any(caller != wanted.caller and at > since for caller, at in self._asked[wanted.model])

    def _refuse(self, wanted: Wanted, why: str) -> None:
        self.refused[wanted.model] += wanted.rows
        after_seconds = min(60.0, self._rows[wanted.model] * wanted.seconds_each)
        raise QueueFull(f"{why}; ask again later.", after_seconds)


class Place:
    """Of a question that was admitted."""

    def __init__(self, admission: Admission, wanted: Wanted) -> None:
        self._admission, self._wanted = admission, wanted
        self.size_bytes = wanted.size_bytes

    def hold(self, size_bytes: int) -> None:
        """Count what its rows take, decoded, where that is more than what came.

        Raises:
            QueueFull, PayloadTooLarge: There is no place for it, now or ever.
        """
        if size_bytes > self.size_bytes:
            self._admission.grow(self._wanted, self.size_bytes, size_bytes)
            self.size_bytes = size_bytes
