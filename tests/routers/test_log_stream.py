"""A driver's log as events, also where it cannot be read to its end."""

import json
from collections.abc import AsyncGenerator

from common.errors import Unavailable
from routers.log_stream import log_events


async def test_why_a_log_cannot_be_read_on_is_the_last_event() -> None:
    is_closed = False

    async def lines() -> AsyncGenerator[str, None]:
        nonlocal is_closed
        try:
            yield "one"
            raise Unavailable("The service may not read pods/log.")
        finally:
            is_closed = True

    first, last = [event.decode() async for event in log_events(lines())]
    assert first == "event: log\ndata: one\n\n"
    name, data = last.strip().split("\n")
    assert name == "event: problem"
    assert json.loads(data.removeprefix("data: ")) == {
        "status": 503,
        "title": "Temporarily unavailable",
        "detail": "The service may not read pods/log.",
    }
    assert is_closed


async def test_lines_are_asked_for_no_longer_than_somebody_listens() -> None:
    is_closed = False

    async def lines() -> AsyncGenerator[str, None]:
        nonlocal is_closed
        try:
            while True:
                yield "one"
        finally:
            is_closed = True

    events = log_events(lines())
    assert await anext(events) == b"event: log\ndata: one\n\n"
    await events.aclose()
    assert is_closed
