"""Connections on which nobody finishes a request: closed, while others are served."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app import connections
from app.connections import PatientProtocol
from app.http import bodies
from app.http.bodies import BodyTooSlow, ReadBodies
from common.processes.guarded import free_port

SLOW = 50
REQUEST = b"POST /training/update_information HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """A port that is served by the protocol, bodies being read before anything else."""
    port = free_port()
    config = uvicorn.Config(
        ReadBodies(answers, 1 << 20),
        port=port,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


async def slowly(port: int, start: bytes, rest: bytes) -> bytes:
    """What is answered to who sends the rest a byte at a time, until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)

    async def drip() -> None:
        for position in range(len(rest)):
            writer.write(rest[position : position + 1])
            await writer.drain()
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        dripping.cancel()
        await asyncio.wait({dripping})
        writer.close()


@pytest.mark.parametrize(
    ("start", "rest", "told"),
    [
        (b"", REQUEST * 100, b"HTTP/1.1 408"),
        (b"GET / HTTP/1.1\r\n", b"X-Header: " + b"x" * 10_000, b"HTTP/1.1 408"),
        (REQUEST, b"x" * 100_000, b"HTTP/1.1 408"),
        (b"", b"", b""),
    ],
    ids=["request line", "headers", "body", "nothing"],
)
async def test_fifty_slow_connections_are_closed_and_others_are_served(
    start: bytes, rest: bytes, told: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rest and start != REQUEST:
        rest = rest.replace(b"\r\n", b"")
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1.0)
    async with served() as port:
        slow = [asyncio.create_task(slowly(port, start, rest)) for _ in range(SLOW)]
        await asyncio.sleep(0.2)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for _ in range(20):
                assert (await client.get("/")).status_code == 200
        answers = await asyncio.gather(*slow)
        # A byte that crosses the answer makes the system throw it away: that connection is closed, too.
        heard = [answer for answer in answers if answer]
        assert all(answer.startswith(told) for answer in heard)
        assert bool(heard) == bool(told)


async def test_a_connection_that_is_kept_has_the_limit_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 1.0)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(4):  # together longer than the limit
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.4)
        writer.write(b"GET / HT")
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_file_that_comes_too_slowly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    received = []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            received.append(await receive())

    async def drips() -> dict[str, object]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def never(message: object) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "PUT", "path": "/workspaces/w/files/a", "headers": []}
    with pytest.raises(BodyTooSlow, match="bytes a second"):
        await ReadBodies(reads, 1 << 20)(scope, drips, never)
    assert received
