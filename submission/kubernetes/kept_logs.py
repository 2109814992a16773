"""What is kept of drivers' logs after their pods are gone."""

from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient

from common.mongo.document import utc_now
from common.mongo.transactions import DURABLE
from submission.log_lines import lines_of

KEPT_BYTES = 256 * 1024
"""Of each log the end. Enough for the traceback and what led to it; a thousand runs take 256 MB at most."""


class DriverLogRepository:
    """The last lines of drivers' logs, one document for each attempt of an application execution."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._logs = client.get_database(database, write_concern=DURABLE)["driver_log"]

    async def keep(self, application_execution_id: str, attempt: int | None, log: str) -> None:
        """Store the end of a log in place of what was kept before; of nothing, nothing.

        Args:
            attempt: Number of an attempt that another one follows; None: of the last one.
        """
        text = last_bytes(log, KEPT_BYTES)
        if text:
            document: Mapping[str, Any] = {"text": text, "kept_at": utc_now(), "is_cut": text != log}
            await self._logs.replace_one(
                {"_id": _key(application_execution_id, attempt)}, document, upsert=True
            )

    async def find(self, application_execution_id: str, attempt: int | None = None) -> str | None:
        document = await self._logs.find_one({"_id": _key(application_execution_id, attempt)}, {"text": 1})
        return document["text"] if document else None


def _key(application_execution_id: str, attempt: int | None) -> str:
    return application_execution_id if attempt is None else f"{application_execution_id}/{attempt}"


def last_bytes(text: str, most: int) -> str:
    """The end of a text that takes no more than `most` bytes; where it is cut, a line begins."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    end = encoded[-most:]
    return (end.partition(b"\n")[2] or end).decode(errors="ignore")


def last_lines(text: str, lines: int) -> str:
    return "".join(lines_of(text, keepends=True)[-lines:]) if lines else ""
