"""JSON of any form, held to what can be sent on and stored."""

import json
import math
from typing import Any

from prediction.inference.declaration.problems import Misfit, shown, shown_name

MOST_KEYS = 1_000
MOST_LEVELS = 64
LONGEST_NAME = 200
"""Characters of a key."""

LEAST_INTEGER, MOST_INTEGER = -(1 << 63), (1 << 63) - 1
"""What 64 bits hold."""


def checked_json(value: Any) -> Any:
    """The value itself.

    Raises:
        Misfit: It nests deeper than MOST_LEVELS, or holds what is no JSON, cannot be written as Unicode, or
            is an integer of more than 64 bits.
    """
    waiting = [(value, 1)]
    while waiting:
        each, level = waiting.pop()
        if isinstance(each, list | dict):
            if level > MOST_LEVELS:
                raise Misfit(f"nests deeper than {MOST_LEVELS} levels")
            if isinstance(each, dict):
                for name in each:
                    check_name(name)
            inner = each.values() if isinstance(each, dict) else each
            waiting += [(one, level + 1) for one in inner]
        else:
            _check_scalar(each)
    return value


def check_name(name: Any) -> None:
    """Raise Misfit where a key cannot be one."""
    if not isinstance(name, str):
        raise Misfit("has a key that is no text")
    check_text(name)
    if len(name) > LONGEST_NAME:
        raise Misfit(f"has a key of more than {LONGEST_NAME} characters: {shown_name(name)}")


def check_text(text: str) -> None:
    """Raise Misfit where a text holds half a character, which JSON can say and nobody can write."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Misfit(f"holds half a character: {shown(text)}") from error


def as_unicode(value: Any) -> Any:
    """The same JSON, where half a character has become a question mark."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {as_unicode(name): as_unicode(each) for name, each in value.items()}
    return [as_unicode(each) for each in value] if isinstance(value, list) else value


def json_of_text(text: str) -> Any:
    """What a text of JSON holds.

    Raises:
        ValueError: It is none; NaN, infinities and integers of thousands of digits are none either.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def json_or_text(text: str) -> Any:
    """What a text of JSON holds, and any other text itself."""
    try:
        return json_of_text(text)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _check_scalar(value: Any) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, int):
        if not LEAST_INTEGER <= value <= MOST_INTEGER:
            raise Misfit("holds an integer of more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Misfit(f"holds {value!r}, which is no number")
    else:
        raise Misfit(f"holds {type(value).__name__}, which is no JSON")
