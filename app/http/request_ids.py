"""A name for every request, in its answer and in the log: the caller's own, or a new one."""

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.log_context import application_execution_id, request_id

HEADER = "X-Request-ID"
_HEADER = HEADER.lower().encode()

_SENSIBLE = re.compile(r"[A-Za-z0-9._-]{1,64}")

_EXECUTION = re.compile(r"/submission/applications/([A-Za-z0-9_-]{1,64})(?:/|$)")


class RequestIds:
    """Outermost, so that whatever is logged for a request has its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == _HEADER), b"").decode("latin-1")
        own = said if _SENSIBLE.fullmatch(said) else uuid.uuid4().hex
        about = _EXECUTION.match(scope["path"])
        tokens = request_id.set(own), application_execution_id.set(about[1] if about else None)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message["headers"] if each[0] != _HEADER]
                message = {**message, "headers": [*others, (_HEADER, own.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            request_id.reset(tokens[0])
            application_execution_id.reset(tokens[1])
