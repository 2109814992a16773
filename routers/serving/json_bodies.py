"""JSON as clients send it: what is no JSON, or means two things, is refused in words that say where."""

import json
from typing import Any

from common.errors import InvalidRequest

PARTS = ("inputs", "version")
"""Of a question; whoever sends more is told that nobody reads it."""

_MOST_TOLD = 5


def parsed(content: bytes) -> Any:
    """What the text stands for. Raises InvalidRequest: it is no JSON, or a key comes twice."""
    try:
        return json.loads(content, object_pairs_hook=_each_once)
    except RecursionError as error:
        raise InvalidRequest("The body is no JSON that is read: it is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The body is no JSON: it has to be UTF-8, and byte {error.start} is not."
        ) from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"The body is no JSON: {error}.") from error
    except ValueError as error:  # Python's own limit
        raise InvalidRequest("The body is no JSON that is read: a number has too many digits.") from error


def question(content: bytes, is_bare: bool) -> dict[str, Any]:
    """The parts of a question: `inputs`, and whatever else is there.

    Args:
        is_bare: Whether JSON without `inputs` is key/values itself, as simple clients send it.
    Raises:
        InvalidRequest: It is no question.
    """
    body = parsed(content)
    if not isinstance(body, dict):
        raise InvalidRequest(f"The body is a question, {_WRITTEN}, and no {_kind(body)}.")
    if is_bare and "inputs" not in body:
        body = {"inputs": body}
    if "inputs" not in body:
        raise InvalidRequest(f"Send the values as {_WRITTEN} for several rows at once.")
    rows = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            which = f"row {number} of inputs" if isinstance(body["inputs"], list) else "inputs"
            raise InvalidRequest(f"{which}: a row is an object of keys and values, and no {_kind(row)}.")
    return body


def unread(body: dict[str, Any]) -> list[str]:
    """What whoever asked has to know of parts that nobody reads."""
    others = [name for name in body if name not in PARTS]
    if not others:
        return []
    named = ", ".join(repr(name[:50]) for name in others[:_MOST_TOLD])
    return [f"nobody reads {named}: a question has inputs and, where wanted, version"]


_WRITTEN = '{"inputs": {…}}, or {"inputs": [{…}, …]}'

_KINDS = {list: "list", str: "text", bool: "boolean", type(None): "null"}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        shown = twice[:100].encode("utf-8", "replace").decode()
        raise InvalidRequest(f"{shown!r} comes twice in one object of the body; a key has one value.")
    return found
