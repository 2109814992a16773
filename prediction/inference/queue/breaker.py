"""Keeps questions from a version that dies of too many of them, for a while.

Who ends it alone is refused alone: for all others it opens only where at least two callers have seen it end,
none of whom counts for more than half of what it takes.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from common.errors import Unavailable

_MOST_CALLERS = 1_000
_MOST_ENDS = 1_000


class VersionBroken(Unavailable):
    """A version has failed too often lately."""

    title = "This version fails too often"


class Breaker:
    """Opens after so many processes that ended in a while; then one question at a time is a trial.

    Args:
        most: Ends within `within_seconds` that are still taken.
        pause_seconds: How long it stays open after each of them.
    """

    def __init__(
        self,
        most: int = 5,
        within_seconds: float = 60.0,
        pause_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._within_seconds = within_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._ends: deque[tuple[float, str | None]] = deque(maxlen=_MOST_ENDS)
        self._for_all = _Gate()
        self._for_one: OrderedDict[str, _Gate] = OrderedDict()
        self.last = ""
        """Why a process ended last."""
        self.deaths = 0

    @property
    def is_open(self) -> bool:
        """Whether it is so for everybody."""
        return self._for_all.is_closed_at(self._clock())

    def is_closed_for(self, caller: str) -> bool:
        """Whether a caller would be refused; unlike `refusal` it takes no trial from anybody."""
        own = self._for_one.get(caller)
        now = self._clock()
        return self._for_all.is_closed_at(now) or (own is not None and own.is_closed_at(now))

    def takes_a_trial(self, caller: str) -> bool:
        """Whether of what a caller asks no more than one row would be taken."""
        own = self._for_one.get(caller)
        return self._for_all.is_shut or (own is not None and own.is_shut)

    def refusal(self, caller: str = "") -> VersionBroken | None:
        """Why nothing may be asked now; while a trial is due, who asks first makes it."""
        now = self._clock()
        why = f"{self._most} times within {self._within_seconds:g} s"
        own = self._for_one.get(caller)
        if own is not None and own.is_closed_at(now):
            return VersionBroken(
                f"What you ask has ended its process {why}; others may ask it. Last: {self.last}",
                retry_after_seconds=own.left_seconds(now),
            )
        if self._for_all.is_closed_at(now):
            return VersionBroken(
                f"Its process has ended {why}, last: {self.last}",
                retry_after_seconds=self._for_all.left_seconds(now),
            )
        for gate in filter(None, (own, self._for_all)):
            if gate.is_shut:
                gate.shut(now + self._pause_seconds)  # for further questions, until the trial has ended
        return None

    def failed(self, why: str, caller: str | None) -> None:
        """A process ended.

        Args:
            caller: Whose row it was asked alone; None: it lies in nobody's, such as where it does not load.
        """
        now = self._clock()
        self.deaths += 1
        self.last = why
        self._ends.append((now, caller))
        while self._ends and self._ends[0][0] < now - self._within_seconds:
            self._ends.popleft()
        callers = [each for _, each in self._ends]
        if caller is not None and (caller in self._for_one or callers.count(caller) >= self._most):
            self._gate_of(caller).shut(now + self._pause_seconds)
        if self._for_all.is_shut or self._is_for_all(callers):
            self._for_all.shut(now + self._pause_seconds)

    def succeeded(self, callers: Iterable[str]) -> None:
        """A batch was answered, of these callers."""
        for caller in set(callers) & self._for_one.keys():
            del self._for_one[caller]
            self._forget(caller)
        if self._for_all.is_shut:
            self._for_all = _Gate()
            self._ends.clear()

    def _is_for_all(self, callers: list[str | None]) -> bool:
        at_most = (self._most + 1) // 2
        of_callers = sum(min(callers.count(each), at_most) for each in {*callers} - {None})
        return of_callers + callers.count(None) >= self._most

    def _gate_of(self, caller: str) -> "_Gate":
        while len(self._for_one) >= _MOST_CALLERS:
            self._for_one.popitem(last=False)
        return self._for_one.setdefault(caller, _Gate())

    def _forget(self, caller: str) -> None:
        others = [(at, each) for at, each in self._ends if each != caller]
        self._ends.clear()
        self._ends.extend(others)


class _Gate:
    """What is open, or shut until some time and from then on until a trial has succeeded."""

    def __init__(self) -> None:
        self._until: float | None = None

    @property
    def is_shut(self) -> bool:
        return self._until is not None

    def is_closed_at(self, now: float) -> bool:
        """Whether a trial is not yet due either."""
        return self._until is not None and now < self._until

    def left_seconds(self, now: float) -> int:
        return max(1, round((self._until or now) - now))

    def shut(self, until: float) -> None:
        self._until = until
