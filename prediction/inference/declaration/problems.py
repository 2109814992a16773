"""What is wrong with a signature.json, or with what a version is asked."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

from common.errors import Conflict, InvalidRequest, ServiceError

MOST_TOLD = 100
"""Problems that one refusal holds."""

_MOST_IN_WORDS = 3

_MOST_GUESSED = 10
"""Unknown keys of one request for which the nearest known one is looked for."""

_MOST_COMPARED = 400
"""Known keys that all of those are compared with, after which no further one is: one takes some 20 µs."""

_LISTED = 10

_LONGEST_SHOWN = 60


class DeclarationError(Conflict):
    """A version's signature.json cannot be read; the message says where, for who has written it."""

    title = "The version's signature.json cannot be read"


class AnswerMismatch(ServiceError):
    """A version has answered something else than its signature.json says; asking again changes nothing."""

    title = "The answer is not what the version's signature.json says"


class Misfit(ValueError):
    """A value is not what its field takes; the message is what stands behind the field's name."""


@dataclass(frozen=True)
class Problem:
    field: str
    problem: str


class InvalidInputs(InvalidRequest):
    """A version is asked with what it does not take. The member `errors` has all problems, by field."""

    title = "The inputs do not fit the version"

    def __init__(self, problems: Iterable[Problem]) -> None:
        told = list(islice(problems, MOST_TOLD))
        super().__init__(_in_words(told))
        self.problems: Sequence[Problem] = told
        self.members["errors"] = [{"field": each.field, "message": each.problem} for each in told]


class Guesses:
    """What unknown keys may have meant; for a few of a request, as each is compared with all known ones."""

    def __init__(self) -> None:
        self._guessed = self._compared = 0

    def nearest(self, name: str, known: Collection[str]) -> str:
        """What stands behind “is not an input of this version”; nothing where enough has been guessed."""
        if not known or self._guessed >= _MOST_GUESSED or self._compared >= _MOST_COMPARED:
            return ""
        self._guessed += 1
        self._compared += len(known)
        by_lower = {each.lower(): each for each in known}
        nearest = get_close_matches(shown_name(name).lower(), by_lower, n=1, cutoff=0.6)
        if nearest:
            return f"; did you mean {by_lower[nearest[0]]}?"
        return f": it takes {', '.join(islice(known, _LISTED))}"


def shown(value: Any) -> str:
    """A value as it is shown to whoever has sent it, in few characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text “{shown_name(value)}”"
    if isinstance(value, int | float):
        # Python refuses to write integers of thousands of digits.
        return (
            shown_name(repr(value)) if not isinstance(value, int) or value.bit_length() < 200 else "a number"
        )
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bytes):
        return "a file"
    return "an object" if isinstance(value, dict) else "numbers"


def shown_name(name: str) -> str:
    """A text that can be part of any answer: half a character, for one, cannot."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name[:_LONGEST_SHOWN])
    return printable + ("…" if len(name) > _LONGEST_SHOWN else "")


def _in_words(problems: Sequence[Problem]) -> str:
    words = [f"{each.field} {each.problem}" if each.field else each.problem for each in problems]
    more = len(words) - _MOST_IN_WORDS
    return "; ".join(words[:_MOST_IN_WORDS]) + (f"; and {more} more" if more > 0 else "") + "."
