"""A driver's log as server-sent events, where the same path also answers with plain text.

FastAPI turns generators into such events only for paths that answer with nothing else.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

_PING_SECONDS = 15.0
"""Proxies close connections on which nothing happens for longer."""


class LogStream(EventSourceResponse):
    """A `log` event a line, then an `end` event."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        # Proxies would otherwise collect events before they pass them on.
        super().__init__(log_events(lines), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})


async def log_events(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    upcoming = asyncio.ensure_future(_next(lines))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=_PING_SECONDS)
            if not done:
                yield KEEPALIVE_COMMENT
                continue
            line = upcoming.result()
            if line is None:
                break
            yield format_sse_event(event="log", data_str=line)
            upcoming = asyncio.ensure_future(_next(lines))
        yield format_sse_event(event="end", data_str="The application has ended.")
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
        if (close := getattr(lines, "aclose", None)) is not None:
            await close()


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)
