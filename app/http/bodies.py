"""Bodies that are read whole: how large and slow they may be, and how many of them may be large at once.

A body of some megabytes becomes objects of ten times its size, and work that holds others up: large ones
wait for each other before they are read, while the network holds them back, and take no memory here.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import problem
from app.http.uploads import drain, is_archive, is_file, is_part, is_question
from common.errors import ServiceError
from routers.principal import BODY_BYTES

LARGE_BYTES = 1024 * 1024
LARGE_AT_ONCE = 2

BODY_SECONDS = 60.0
"""In which a body has to arrive; 8 MiB do at a megabit a second."""

TURN_SECONDS = 60.0
"""For which a large body waits for others."""

SLOWEST_BYTES_PER_SECOND = 16 * 1024
"""Of a file, beyond the first minute."""

_CLOSE = {"Connection": "close"}


def is_read_by_its_handler(scope: Scope) -> bool:
    """Whether a body is a file, or has files in it, and is bounded by whoever reads it."""
    return is_file(scope) or is_archive(scope) or is_part(scope) or is_question(scope)


class BodyTooSlow(ServiceError):
    """A file comes in so slowly that it would keep its connection for hours."""

    status, title = 408, "The request body is too slow"


def _not_too_slow(receive: Receive) -> Receive:
    """The same messages, and BodyTooSlow where those of a body come too slowly."""
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    is_read = False

    async def patient() -> Message:
        nonlocal deadline, is_read
        if is_read:  # what comes next is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            raise BodyTooSlow(
                f"The body came with less than {SLOWEST_BYTES_PER_SECOND} bytes a second.", headers=_CLOSE
            ) from error
        deadline += len(message.get("body", b"")) / SLOWEST_BYTES_PER_SECOND
        is_read = not message.get("more_body", False)
        return message

    return patient


class _Refused(Exception):
    def __init__(self, response: Response, *, is_sent: bool = True) -> None:
        self.response = response
        self.is_sent = is_sent
        """Whether the rest of the body is on its way."""


class ReadBodies:
    """Reads bodies before anything is done about them, and refuses those that are too large or too slow.

    Files have limits of their own, and are read by their handlers.

    Args:
        limit_bytes: Of a body, announced or not.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._turns = asyncio.Semaphore(LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_read_by_its_handler(scope):
            await self._app(scope, _not_too_slow(receive), send)
            return
        async with AsyncExitStack() as turn:
            try:
                messages, size = await self._read(scope, receive, turn)
            except _Refused as refused:
                if refused.is_sent and not any(name == b"expect" for name, _ in scope["headers"]):
                    # What nobody reads makes the system throw away the answer, too.
                    await drain(receive)
                await refused.response(scope, receive, send)
                return

            async def replay() -> Message:
                return messages.popleft() if messages else await receive()

            async def answering(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await turn.aclose()  # what follows may take as long as it likes
                await send(message)

            large = size > LARGE_BYTES
            await self._app({**scope, BODY_BYTES: size}, replay, answering if large else send)

    async def _read(self, scope: Scope, receive: Receive, turn: AsyncExitStack) -> tuple[deque[Message], int]:
        """All messages of the body, and its size; with a turn where it is large. Raises _Refused."""
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        expected = int(announced) if announced.isdigit() else 0
        self._check(expected)
        if expected > LARGE_BYTES:
            await turn.enter_async_context(self._turn())
        message = await self._within(receive, BODY_SECONDS)
        size, messages = len(message.get("body", b"")), deque((message,))
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        while message["type"] == "http.request" and message.get("more_body", False):
            self._check(size)
            if size > LARGE_BYTES and expected <= LARGE_BYTES:
                await turn.enter_async_context(self._turn())
                expected = size
                deadline = asyncio.get_running_loop().time() + BODY_SECONDS
            message = await self._within(receive, deadline - asyncio.get_running_loop().time())
            size += len(message.get("body", b""))
            messages.append(message)
        self._check(size)
        return messages, size

    async def _within(self, receive: Receive, seconds: float) -> Message:
        try:
            async with asyncio.timeout(seconds):
                return await receive()
        except TimeoutError as error:
            detail = f"The body did not arrive within {BODY_SECONDS:g} s."
            response = problem(408, "The request body is too slow", detail, _CLOSE)
            raise _Refused(response, is_sent=False) from error

    def _check(self, size: int) -> None:
        if size > self._limit_bytes:
            detail = f"The body is larger than {self._limit_bytes} bytes (MAX_BODY_BYTES)."
            raise _Refused(problem(413, "The request body is too large", detail, _CLOSE))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError as error:
            detail = f"Other bodies of more than {LARGE_BYTES} bytes are being read. Send it again later."
            response = problem(503, "Too many large bodies", detail, {**_CLOSE, "Retry-After": "10"})
            raise _Refused(response) from error
        try:
            yield
        finally:
            self._turns.release()
