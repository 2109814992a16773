"""What every request passes before it is routed."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send


class NormalizePath:
    """Listeners in the field put two slashes where one belongs; `//preload/kmeans` works like one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": re.sub(r"/{2,}", "/", scope["path"])}
        await self._app(scope, receive, send)
