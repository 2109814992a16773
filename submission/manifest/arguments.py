"""A program's arguments as it is given them."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from common.errors import InvalidRequest

_DUE_AT = re.compile(r"\{\{\s*due_at\s*\}\}")


def arguments_of(values: Sequence[str | bool | int | float], due_at: datetime) -> list[str]:
    """Arguments in which `{{ due_at }}` is the due time, as `2026-11-29T02:30:00+00:00`.

    Only here: stored as they were sent, they are the same in every run, whose runtimes say something of each
    other.

    Args:
        due_at: What the run was started for; where it is of no schedule, when it was submitted.
    Raises:
        InvalidRequest: One of them is nothing that a command line can hold.
    """
    told = due_at.astimezone(UTC).isoformat(timespec="seconds")
    return [_DUE_AT.sub(told, each) for each in map(_argument, values)]


def _argument(value: str | bool | int | float) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if "\0" in value:
        raise InvalidRequest("algorithm_args: a command line argument cannot contain a NUL character.")
    return value
