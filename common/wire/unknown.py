"""Fields that a request names and nobody reads: accepted, as the contract says, and told in the answer."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice

MOST_TOLD = 10
"""Fields that one answer names."""

LONGEST_NAME = 60
"""Characters of a name that are shown."""

_MOST_KEPT = 50
"""Of one object; some of them may be known elsewhere, and are not told."""


@dataclass(frozen=True)
class UnknownNames:
    """Names without values; equal to all others: what is ignored makes no other request."""

    names: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def among(cls, given: Mapping[object, object], known: Collection[str]) -> "UnknownNames":
        return cls(tuple(islice((_shown(str(name)) for name in given if name not in known), _MOST_KEPT)))


@dataclass(frozen=True)
class UnknownField:
    """A field that is ignored.

    Args:
        place: What its name stands in, such as `global_specs.`.
        known: Names that would be read there.
    """

    place: str
    name: str
    known: Collection[str]

    @property
    def warning(self) -> str:
        """What is ignored, and what may have been meant."""
        name = _shown(self.name)
        by_lower = {each.lower(): each for each in self.known}
        nearest = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
        meant = f"; did you mean {by_lower[nearest[0]]}?" if nearest else ""
        return f"unknown field {self.place}{name} is ignored{meant}"


def warnings_about(fields: Iterable[UnknownField]) -> list[str]:
    """One for each field, as far as there is room."""
    return [each.warning for each in islice(fields, MOST_TOLD)]


def _shown(name: str) -> str:
    """What may be shown of any name: half a character, for one, can be part of no answer."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])
