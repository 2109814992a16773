"""Which methods a path has, for answers to another one."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Match

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_ASKED = ("type", "path", "root_path", "headers", "query_string", "app")
"""What a route looks at; whatever routing has left in a scope is of the route that refused."""


def with_all_allowed(request: Request, headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a 405, whose `Allow` names all methods of the path: routing names those of one route."""
    scope: dict[str, Any] = {name: request.scope[name] for name in _ASKED if name in request.scope}
    allowed = [
        method
        for method in _METHODS
        if any(
            route.matches({**scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    ]
    return {**(headers or {}), **({"Allow": ", ".join(allowed)} if allowed else {})}
