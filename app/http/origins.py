"""Requests that a page in somebody's browser sends without their knowledge are refused.

Browsers say where a request that changes something comes from, and no page can keep them from it. What is
no browser says nothing, and is taken.
"""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.hosts import KnownHosts
from app.http.problems import problem
from app.http.refusals import count_refusal

_ONLY_READING = ("GET", "HEAD", "OPTIONS")

_HOSTS_REMEMBERED = 256
"""Names that are the same with every request of a client; to take one apart takes longer than to know it."""


class CheckOrigin:
    """Refuse what was sent to another name than ours, or by a page that is not ours."""

    def __init__(self, app: ASGIApp, hosts: KnownHosts, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._knows = lru_cache(maxsize=_HOSTS_REMEMBERED)(hosts.knows)
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) > 1 or (hosts and not self._knows(hosts[0])):
            count_refusal(scope, "host")
            return _refused(
                "The service is not known by the name in `Host`, and a page from elsewhere could have sent"
                " this. If it is the service's own name, add it to ALLOWED_HOSTS."
            )
        if scope["method"] in _ONLY_READING:
            return None
        refusal = self._refusal_of_page(headers, hosts)
        if refusal is not None:
            count_refusal(scope, "origin")
        return refusal

    def _refusal_of_page(self, headers: Headers, hosts: list[str]) -> Response | None:
        origin = headers.get("origin")
        if origin is not None:
            if origin.lower() in self._allowed_origins:
                return None
            if not hosts or not _is_same_origin(origin, hosts[0]):
                return _refused(
                    "This was sent by a web page of another origin. If that page may change something here,"
                    " add its origin to ALLOWED_ORIGINS."
                )
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
            return _refused(
                "This was sent by a web page of another site. Send it from the service's own pages, or from"
                " a program."
            )
        return None


def _refused(detail: str) -> Response:
    return problem(403, "Not permitted", detail, {"Vary": "Origin"})


def _is_same_origin(origin: str, host: str) -> bool:
    """Whether host and port are ours; the scheme may differ where a proxy speaks TLS for us."""
    try:
        parts = urlsplit(origin)
        own = urlsplit(f"{parts.scheme}://{host}")
        default = 443 if parts.scheme == "https" else 80
        return bool(parts.hostname) and (parts.hostname, parts.port or default) == (
            own.hostname,
            own.port or default,
        )
    except ValueError:
        return False
