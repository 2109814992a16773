"""How long something lasts, by a clock that nobody sets.

Times in the database are of wall clocks: of other machines, or of this one before it was set. They say
when something was, and order what people look at; how long to wait is not to be read from them alone.
"""

import time
from collections.abc import Collection, Hashable


def monotonic_seconds() -> float:
    """Seconds since some moment in the past."""
    return time.monotonic()


class Unchanged:
    """For how long things have looked the same to this process, as leases are watched in Kubernetes.

    Who holds a lease changes how it looks with every sign of life; whether clocks agree is no matter.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[Hashable, float]] = {}

    def seconds(self, name: str, looks: Hashable = None) -> float:
        """Since it was first looked at and found to look like this; 0 for the first time."""
        now = monotonic_seconds()
        before = self._since.get(name)
        if before is None or before[0] != looks:
            before = self._since[name] = (looks, now)
        return now - before[1]

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._since = {name: seen for name, seen in self._since.items() if name in names}
