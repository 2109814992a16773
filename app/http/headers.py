"""What browsers are told with every answer: to run our own scripts alone, and to show us in no frame."""

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DOCS = ("/docs", "/docs/oauth2-redirect", "/redoc")
"""Pages of fastapi-offline, which hold a script each."""

_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)

_POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "img-src": "'self' data:",
    "script-src": "'self'",
    "style-src": "'self'",
}

_DRAWING = {"default-src": "'none'", "frame-ancestors": "'none'", "style-src": "'unsafe-inline'"}
"""Of an SVG, whose styles are its own; it may do nothing else."""


def _text(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _text(_POLICY),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer; a handler that says otherwise is right."""


_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class SecurityHeaders:
    """Add `HEADERS` to answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_docs = scope["path"] in _DOCS
        begun: Message | None = None

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                _add(message)
                if is_docs:
                    begun = message  # its scripts are known with its body
                    return
            elif begun is not None:
                headers = MutableHeaders(raw=begun["headers"])
                headers["Content-Security-Policy"] = _policy_of_docs(message.get("body", b""))
                await send(begun)
                begun = None
            await send(message)

        await self._app(scope, receive, with_headers)


def _add(start: Message) -> None:
    said = dict(start["headers"])
    start["headers"] = [*start["headers"], *(each for each in _RAW if each[0] not in said)]
    if said.get(b"content-type", b"").startswith(b"image/svg+xml"):
        MutableHeaders(raw=start["headers"])["Content-Security-Policy"] = _text(_DRAWING)


def _policy_of_docs(page: bytes) -> str:
    """Its own scripts by their hashes; Swagger and Redoc style what they draw, Redoc has a worker."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(page)
    ]
    return _text(
        {
            **_POLICY,
            "script-src": " ".join(["'self'", *hashes]),
            "style-src": "'self' 'unsafe-inline'",
            "worker-src": "blob:",
        }
    )
