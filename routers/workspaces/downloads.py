"""Answers that are files: sent to be kept, and never shown as pages of ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import IO, Any
from urllib.parse import quote

from fastapi import Response
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

_PIECE = 1 << 20

BYTES = "application/octet-stream"

FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "It is what `If-None-Match` says"},
}
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}
"""`responses` of routes that answer with these."""


def etag_of(checksum: str) -> str:
    return f'"{checksum}"'


def names(header: str | None, etag: str) -> bool:
    """Whether `If-Match` or `If-None-Match` names this one; `*` names any."""
    given = [each.strip().removeprefix("W/") for each in (header or "").split(",")]
    return etag in given or "*" in given


def file_of(content: bytes, path: str, etag: str) -> Response:
    return Response(content, media_type=BYTES, headers=_headers(path.rpartition("/")[2], etag))


def unchanged(path: str, etag: str) -> Response:
    return Response(status_code=304, headers=_headers(path.rpartition("/")[2], etag))


def archive_of(packed: IO[bytes], name: str, etag: str | None = None) -> StreamingResponse:
    """From an open file, which is closed at the end, also where nobody waits for it any more."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(packed.read, _PIECE):
                yield piece
        finally:
            packed.close()

    return StreamingResponse(
        pieces(),
        media_type="application/zip",
        headers=_headers(name, etag),
        background=BackgroundTask(packed.close),
    )


def _headers(name: str, etag: str | None) -> Mapping[str, str]:
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return headers if etag is None else {**headers, "ETag": etag}
