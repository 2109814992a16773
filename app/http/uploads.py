"""Which requests send files as they are: no JSON, and larger than other bodies.

Their handlers read them once it is known who asks, and bound them (`routers.media.uploads`).
"""

import asyncio
import contextlib
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FILE = re.compile(r"/workspaces/[^/]+/files/.*", re.DOTALL)
_PART = re.compile(r"/training/program_runs/[^/]+/output/parts/[^/]+")
_QUESTION = re.compile(
    r"/serving/[^/]+/predict/?|/v2/models/[^/]+(/versions/[^/]+)?/infer/?|/predict(/[^/]+)?/?|/digits/classify/?"
    r"|/ui/prediction/[^/]+"
)
_ARCHIVE = re.compile(r"/workspaces/[^/]+/archive/?")

_DRAINED_BYTES = 256 * 1024 * 1024
_DRAIN_SECONDS = 30.0
"""What is sent beyond these is not waited for."""


class AnswerUploads:
    """Read what is left of a file that is refused, and forget it, before the refusal is sent.

    The server closes a connection on which a body is left unread, and the operating system then throws
    away the answer, too: whoever sends would see a broken connection and not why.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (is_file(scope) or is_archive(scope) or is_question(scope)):
            await self._app(scope, receive, send)
            return
        # Who asks whether to send is told by the answer, and has sent nothing.
        is_read = "expect" in Headers(scope=scope)

        async def noting() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = not message.get("more_body", False)
            return message

        async def answering(message: Message) -> None:
            nonlocal is_read
            if message["type"] == "http.response.start" and not is_read:
                await drain(receive)
                is_read = True
            await send(message)

        await self._app(scope, noting, answering)


async def drain(receive: Receive) -> None:
    """Read what is left of a body, and forget it; not for ever."""
    left = _DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def is_file(scope: Scope) -> bool:
    """Whether a request puts one file; no form on a page can send that."""
    return scope["method"] == "PUT" and _FILE.fullmatch(scope["path"]) is not None


def is_question(scope: Scope) -> bool:
    """Whether a request asks a model, perhaps with images."""
    return scope["method"] == "POST" and _QUESTION.fullmatch(scope["path"]) is not None


def is_part(scope: Scope) -> bool:
    """Whether a request sends a part of what a program has left; it is no larger than other bodies."""
    return scope["method"] == "PUT" and _PART.fullmatch(scope["path"]) is not None


def is_archive(scope: Scope) -> bool:
    """Whether a request sends an archive."""
    return scope["method"] == "POST" and _ARCHIVE.fullmatch(scope["path"]) is not None
