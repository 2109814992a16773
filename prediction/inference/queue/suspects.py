"""Rows that have ended their process: they go alone, and are refused once they have done so twice."""

import hashlib
from collections import OrderedDict

from prediction.inference.model_process.frames import Row, encode_request

_REFUSED_AFTER = 2
_MOST_KEPT = 10_000


class Suspects:
    """Rows by what they hold, and how often they were there when a process ended."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, int] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._times)

    def add(self, digest: str) -> int:
        """How often it was there by now."""
        times = self._times.pop(digest, 0) + 1
        self._times[digest] = times
        while len(self._times) > _MOST_KEPT:
            self._times.popitem(last=False)
        return times

    def clear(self, digest: str) -> None:
        """It was asked alone, and has ended nothing."""
        self._times.pop(digest, None)

    def is_any(self, digest: str) -> bool:
        """Whether it is to go alone."""
        return digest in self._times

    def is_refused(self, digest: str) -> bool:
        return self._times.get(digest, 0) >= _REFUSED_AFTER


def digest_of(row: Row) -> str:
    """What a row is known by. It blocks where the row is large."""
    return hashlib.sha256(encode_request([row])).hexdigest()
