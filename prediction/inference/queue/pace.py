"""Whether rows of a version are computed sooner together than one after another.

A network that keeps all processors busy with one row computes three in three times as long: together, the
first two would wait for the third and gain nothing. What it takes is seen while it answers, and batches are
tried again now and then, since a version may be asked other things tomorrow.
"""

_WAY_SECONDS = 0.004
"""That a batch, of however many rows, takes to the model and back (docs/measured.md)."""

_GAIN = 0.9
"""Of the time of a row alone: what a row of a batch takes at most where batches are worth it."""

_LEAST = 5
"""Batches of either kind, before there is an opinion."""

_AGAIN = 20
"""Batches until rows are tried together again."""

_LATELY = 0.2
"""Weight of the latest batch."""


class _Mean:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.count = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        weight = max(_LATELY, 1 / self.count)
        self.seconds += weight * (seconds - self.seconds)


class Pace:
    """Of one loaded version in one service."""

    def __init__(self) -> None:
        self._alone = _Mean()
        self._together = _Mean()
        self._since = 0
        """Batches since rows were last tried together."""

    @property
    def gains(self) -> bool:
        """Whether rows take less together, as far as that is known."""
        if min(self._alone.count, self._together.count) < _LEAST:
            return True
        return self._together.seconds <= _GAIN * self._alone.seconds

    def most_rows(self, limit: int) -> int:
        """Rows for the next batch, up to a limit."""
        return limit if self.gains or self._since >= _AGAIN else 1

    def took(self, rows: int, compute_seconds: float) -> None:
        """Learn from a batch.

        Args:
            compute_seconds: In the model's process, of all its rows.
        """
        mean = self._alone if rows == 1 else self._together
        mean.add((compute_seconds + _WAY_SECONDS) / rows)
        self._since = 0 if rows > 1 else self._since + 1
