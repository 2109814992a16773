"""Bodies that are large, slow, or never end."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import bodies
from app.http.bodies import LARGE_AT_ONCE, LARGE_BYTES, ReadBodies
from tests.support.answers import is_problem

LIMIT = 4 * LARGE_BYTES
HALF = b"x" * (LARGE_BYTES // 2 + 1)


def scope(*, length: int | None = None) -> Scope:
    headers = [(b"content-type", b"application/json")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http", "method": "POST", "path": "/training/update_information", "headers": headers}


class Caller:
    """Sends pieces, each when it is told to, and keeps what is answered."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.may_send, self.answers = asyncio.Semaphore(0), list[Message]()
        self._pieces = list(pieces)
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        await self.may_send.acquire()
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def send(self, message: Message) -> None:
        self.answers.append(message)

    async def call(self, app: ASGIApp, scope: Scope) -> int:
        await app(scope, self.receive, self.send)
        return int(self.answers[0]["status"])

    def problem(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(b"".join(each.get("body", b"") for each in self.answers[1:]))
        return found


class Handler:
    """Reads a body whole and answers, where it is large once it may."""

    def __init__(self) -> None:
        self.sizes, self.may_answer = list[int](), asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        assert size == scope[bodies.BODY_BYTES]
        self.sizes.append(size)
        if size > LARGE_BYTES:
            await self.may_answer.acquire()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("announced", [True, False])
async def test_large_ones_wait_for_each_other_before_they_are_read(announced: bool) -> None:
    handler = Handler()
    app = ReadBodies(handler, LIMIT)
    callers = [Caller([HALF, HALF, HALF]) for _ in range(LARGE_AT_ONCE + 2)]
    length = 3 * len(HALF) if announced else None
    calls = [asyncio.create_task(each.call(app, scope(length=length))) for each in callers]
    for each in callers:
        each.may_send.release()
        each.may_send.release()
        each.may_send.release()
    await settled()
    assert len(handler.sizes) == LARGE_AT_ONCE
    waiting = callers[LARGE_AT_ONCE:]
    read = 0 if announced else 2  # what is large is known from its second piece on
    assert [each.asked for each in waiting] == [read] * len(waiting)
    small = Caller([b"{}"])
    small.may_send.release()
    assert await small.call(app, scope(length=2)) == 200, "small ones wait for nobody"
    for _ in range(len(callers)):
        handler.may_answer.release()
    assert await asyncio.gather(*calls) == [200] * len(callers)


async def test_one_that_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "TURN_SECONDS", 0.05)
    handler = Handler()
    app = ReadBodies(handler, LIMIT)
    callers = [Caller([HALF * 3]) for _ in range(LARGE_AT_ONCE + 1)]
    calls = [asyncio.create_task(each.call(app, scope(length=3 * len(HALF)))) for each in callers]
    for each in callers:
        each.may_send.release()
    assert await calls[-1] == 503
    assert (b"retry-after", b"10") in callers[-1].answers[0]["headers"]
    for _ in callers:
        handler.may_answer.release()
    assert await asyncio.gather(*calls[:-1]) == [200] * LARGE_AT_ONCE
    again = Caller([HALF * 3])
    again.may_send.release()
    handler.may_answer.release()
    assert await again.call(app, scope(length=3 * len(HALF))) == 200, "turns are given back"


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_one_that_stops_is_told_and_others_go_on(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    app = ReadBodies(Handler(), LIMIT)
    stuck = [Caller([HALF] * 5) for _ in range(LARGE_AT_ONCE)]
    for each in stuck:
        for _ in range(pieces):
            each.may_send.release()
    assert await asyncio.gather(*(each.call(app, scope()) for each in stuck)) == [408] * len(stuck)
    assert "did not arrive within" in stuck[0].problem()["detail"]
    assert not app._turns.locked()


async def test_a_caller_that_has_gone_gives_its_turn_back() -> None:
    app = ReadBodies(Handler(), LIMIT)
    callers = [Caller([HALF, HALF, HALF]) for _ in range(LARGE_AT_ONCE)]
    calls = [asyncio.create_task(each.call(app, scope(length=3 * len(HALF)))) for each in callers]
    await settled()
    assert app._turns.locked()
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert not app._turns.locked()


async def test_a_body_that_is_too_large_is_read_to_its_end_before_it_is_refused() -> None:
    """Else the connection is reset, and some clients show that and not the answer."""
    caller = Caller([HALF] * 20)
    for _ in range(20):
        caller.may_send.release()
    assert await caller.call(ReadBodies(Handler(), LIMIT), scope(length=20 * len(HALF))) == 413
    assert caller.asked == 20
    assert "MAX_BODY_BYTES" in caller.problem()["detail"]


async def test_over_http_a_client_that_sends_first_reads_the_refusal(service: httpx.AsyncClient) -> None:
    is_problem(
        await service.post(
            "/training/update_information",
            content=b" " * (9 << 20),
            headers={"Content-Type": "application/json"},
        ),
        413,
    )
