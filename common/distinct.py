"""Lists whose entries have names, of which none may be there twice: Kubernetes and merging would keep one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import AfterValidator


def distinct(key: str) -> AfterValidator:
    """A validator of a list that refuses it where two entries have the same value of `key`."""

    def check(entries: Sequence[Any]) -> Sequence[Any]:
        counts = Counter(getattr(entry, key) for entry in entries)
        if twice := [str(name) for name, count in counts.items() if count > 1]:
            raise ValueError(f"{', '.join(twice)}: there are several of this {key}")
        return entries

    return AfterValidator(check)
