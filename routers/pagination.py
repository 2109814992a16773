"""Opaque cursors over lists that are ordered by (created_at, id), newest first."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from common.errors import InvalidRequest

Unreadable = Annotated[
    list[str],
    Field(description="Ids of what is stored, but left out here, because this version cannot read it."),
]


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
