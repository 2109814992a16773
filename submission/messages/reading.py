"""What a message asks for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from common.errors import InvalidRequest
from common.wire.specs import SHORT_TEXT
from submission.messages.documents import Record
from submission.program_requests import StartProgram
from submission.requests import SubmitRequest

MOST_BYTES = 256 << 10
"""Of a message; a larger one is set aside."""

_ID_HEADERS = ("id", "idempotency-key")

_WORKSPACE = ("workspace", "user")
_FOLDER = ("folder", "location")
"""Each by its name over HTTP, and by the one that messages use."""

_MOST_TOLD = 3


class UnreadableMessage(ValueError):
    """Nobody can tell what it asks for; the text says why."""


@dataclass(frozen=True)
class Asked:
    """A run of a program that a message asks for."""

    workspace: str
    submission: SubmitRequest


def own_id(record: Record) -> str | None:
    """The id that a message says it has: of its body, or of its headers; None: it has none.

    Raises:
        UnreadableMessage: It has one that is none.
    """
    found: object = None
    if record.value is not None and len(record.value) <= MOST_BYTES:
        try:
            body = json.loads(record.value)
        except (ValueError, RecursionError):
            body = None
        found = body.get("id") if isinstance(body, dict) else None
    for name in _ID_HEADERS:
        if found is None and (header := record.headers.get(name)):
            found = header.decode("ascii", errors="replace")
    if found is None:
        return None
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    is_id = isinstance(found, str) and found.isascii() and found.isprintable() and " " not in found
    if not is_id or not 0 < len(str(found)) <= SHORT_TEXT:
        raise UnreadableMessage(f"id: visible ASCII characters without spaces are one, {SHORT_TEXT} at most.")
    return str(found)


def asked_for(record: Record) -> Asked:
    """What a message asks for.

    Raises:
        UnreadableMessage: It is not what a request looks like.
        InvalidRequest: It is, and cannot be carried out.
    """
    body = _object(record)
    workspace = _either(body, _WORKSPACE)
    if not isinstance(workspace, str) or not workspace:
        raise UnreadableMessage("user: the name of the workspace is missing.")
    folder = _either(body, _FOLDER)
    said = {name: value for name, value in body.items() if name not in ("id", *_WORKSPACE, *_FOLDER)}
    if folder is not None:
        said["folder"] = folder
    try:
        start = StartProgram.model_validate(said)
        submission = start.submission(workspace)
    except ValidationError as error:
        raise UnreadableMessage(_told(error)) from error
    for unknown in start.unknown_fields():
        # Nobody reads a warning in answer to a message.
        raise InvalidRequest(unknown.warning.replace("is ignored", "is not known"))
    return Asked(workspace, submission)


def _object(record: Record) -> Mapping[str, Any]:
    if not record.value:
        raise UnreadableMessage("The message is empty.")
    if len(record.value) > MOST_BYTES:
        raise UnreadableMessage(f"The message has {len(record.value):,} bytes; {MOST_BYTES:,} are the most.")
    try:
        body = json.loads(record.value)
    except (ValueError, RecursionError) as error:
        raise UnreadableMessage(f"The message is no JSON: {str(error)[:200]}") from error
    if not isinstance(body, dict):
        raise UnreadableMessage(f"The message is a JSON {type(body).__name__}, no object.")
    return body


def _either(body: Mapping[str, Any], names: tuple[str, str]) -> Any:
    given = [name for name in names if body.get(name) is not None]
    if len(given) > 1 and body[given[0]] != body[given[1]]:
        raise UnreadableMessage(f"{given[0]} and {given[1]} are the same, and differ.")
    return body[given[0]] if given else None


def _told(error: ValidationError) -> str:
    """Where it is wrong; values stay where they are."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in errors]
    return "; ".join(told[:_MOST_TOLD])
