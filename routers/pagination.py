"""Opaque cursors over lists that are ordered by (created_at, id), newest first."""

import base64
import binascii
import json
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

from common.errors import InvalidRequest
from common.wire.specs import SHORT_TEXT

Cursor = Annotated[str, StringConstraints(max_length=SHORT_TEXT)]
Limit = Annotated[int, Query(ge=1, le=200)]

Unreadable = Annotated[
    list[str],
    Field(description="Ids of what is stored, but left out here, because this version cannot read it."),
]


Hint = Annotated[str | None, Field(description="What would fill the list; null where something is in it.")]


def hint_for(found: Sized, what_fills_it: str, *filters: object) -> str | None:
    """What an empty list says: where something was asked for, that it may be that which is not there."""
    if len(found):
        return None
    if any(each is not None for each in filters):
        return f"Nothing matches what was asked for; leave filters out to see more. {what_fills_it}"
    return what_fills_it


def encode_cursor(created_at: datetime, last_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at.isoformat(), last_id]).encode()).decode()


def decode_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Raises InvalidRequest where it is not one of ours."""
    if cursor is None:
        return None
    try:
        created_at, last_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None or not isinstance(last_id, str):
            raise ValueError
        last_id.encode()
        return moment.astimezone(UTC), last_id
    except (ValueError, OverflowError, TypeError, UnicodeError, binascii.Error, AttributeError) as error:
        raise InvalidRequest("cursor: use next_cursor of the page before, unchanged") from error
