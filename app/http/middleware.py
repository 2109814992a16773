"""What every request passes before it is routed."""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import problem
from app.http.uploads import is_archive, is_file, is_part, is_question
from routers.principal import BODY_BYTES


class NormalizePath:
    """Listeners in the field put two slashes where one belongs; `//preload/kmeans` works like one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": re.sub(r"/{2,}", "/", scope["path"])}
        await self._app(scope, receive, send)


def is_read_by_its_handler(scope: Scope) -> bool:
    """Whether a body is a file, or has files in it, and is bounded by whoever reads it."""
    return is_file(scope) or is_archive(scope) or is_part(scope) or is_question(scope)


class LimitBody:
    """Refuse bodies above the limit, announced or not, before they are read or parsed.

    Files have limits of their own, and are read by their handlers.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_read_by_its_handler(scope):
            await self._app(scope, receive, send)
            return
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > self._limit_bytes:
            await self._refuse(scope, receive, send)
            return

        body = bytearray()
        messages: list[Message] = []
        # Bodies are JSON and read whole in any case; reading them here lets a refusal be an answer.
        while True:
            message = await receive()
            messages.append(message)
            if message["type"] != "http.request":
                break
            body += message.get("body", b"")
            if len(body) > self._limit_bytes:
                await self._refuse(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        pending = iter(messages)

        async def replay() -> Message:
            return next(pending, None) or await receive()

        await self._app({**scope, BODY_BYTES: len(body)}, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"The body is larger than {self._limit_bytes} bytes (MAX_BODY_BYTES)."
        response = problem(413, "The request body is too large", detail, {"Connection": "close"})
        await response(scope, receive, send)
