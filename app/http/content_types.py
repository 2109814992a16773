"""Bodies are JSON and say so: a form on a page from elsewhere cannot send that without asking first."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import problem
from app.http.refusals import count_refusal

_ONLY_READING = ("GET", "HEAD", "OPTIONS")


class RequireJson:
    """Refuse bodies of other kinds.

    Args:
        forms: What the paths of pages begin with that take forms, each with a token of `app.http.csrf`.
    """

    def __init__(self, app: ASGIApp, forms: Sequence[str] = ()) -> None:
        self._app = app
        self._forms = tuple(forms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _ONLY_READING and self._is_refused(scope):
            count_refusal(scope, "content_type")
            response = problem(
                415,
                "The body has to be JSON",
                "Send the header `Content-Type: application/json` with a body of JSON.",
                {"Accept": "application/json"},
            )
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        has_body = headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers
        if not has_body or scope["path"].startswith(self._forms):
            return False
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        main, _, sub = kind.partition("/")
        return not (main == "application" and (sub == "json" or sub.endswith("+json")))
