"""A driver's log as server-sent events, where the same path also answers with plain text.

FastAPI turns generators into such events only for paths that answer with nothing else.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from common.errors import ServiceError

_PING_SECONDS = 15.0
"""Proxies close connections on which nothing happens for longer."""


class LogStream(EventSourceResponse):
    """A `log` event a line, then an `end` event; or a `problem` event, where it cannot be read on."""

    def __init__(self, lines: AsyncGenerator[str, None]) -> None:
        # Proxies would otherwise collect events before they pass them on.
        super().__init__(log_events(lines), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})


async def log_events(lines: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    """The events as they are sent; a problem is a JSON object with `status`, `title` and `detail`."""
    async with aclosing(lines):
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
        except ServiceError as error:
            problem = {"status": error.status, "title": error.title, "detail": str(error)}
            yield format_sse_event(event="problem", data_str=json.dumps(problem))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


async def _next(lines: AsyncGenerator[str, None]) -> str | None:
    return await anext(lines, None)
