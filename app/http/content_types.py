"""Bodies are JSON, or files, and say so: no form on a page from elsewhere can, without asking first."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import problem
from app.http.refusals import count_refusal
from app.http.uploads import is_archive, is_file, is_part, is_question

_ONLY_READING = ("GET", "HEAD", "OPTIONS")

_JSON = b"application/json"
"""What nearly all say that send something: nothing else has to be known of them."""

_FORM_OF_CLIENTS = re.compile(r"(/train/[^/]+|/feedback)/?")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


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
            response = _refusal(scope)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        if next((value for name, value in scope["headers"] if name == b"content-type"), b"") == _JSON:
            return False
        headers = Headers(scope=scope)
        has_body = headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers
        if not has_body or scope["path"].startswith(self._forms) or is_file(scope) or is_part(scope):
            return False
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        main, _, sub = kind.partition("/")
        if is_archive(scope):
            return main != "application" or sub == "x-www-form-urlencoded"
        if is_question(scope):
            # No form on a page sends images or octets as they are: a page has to ask before, and is refused.
            is_free = main == "image" or kind == "application/octet-stream"
            if is_free or (kind in _FORMS and not _may_be_of_a_page(headers)):
                return False
        if kind in _FORMS and _FORM_OF_CLIENTS.fullmatch(scope["path"]) and not _may_be_of_a_page(headers):
            return False
        return not (main == "application" and (sub == "json" or sub.endswith("+json")))


def _may_be_of_a_page(headers: Headers) -> bool:
    """Whether a form that does something may come from a page elsewhere, in a browser that does not say so.

    What says where it comes from has passed `CheckOrigin`, which comes before: it is ours. No page can send a
    header with a token along with a form. What has neither is taken from a program alone: browsers, also
    those that are older than `Origin` with forms, have called themselves Mozilla ever since, pages cannot
    change that, and they send cookies and where they come from.
    """
    if headers.get("authorization", "").lower().startswith("bearer "):
        return False
    if "origin" in headers or "sec-fetch-site" in headers:
        return False
    is_browser = headers.get("user-agent", "").lower().startswith(("mozilla/", "opera/"))
    return is_browser or "cookie" in headers or "referer" in headers


def _refusal(scope: Scope) -> Response:
    if is_archive(scope):
        kinds = "application/zip, application/x-tar, application/gzip"
        detail = f"Send the archive as it is, with a header such as `Content-Type: {kinds.split(',')[0]}`."
        return problem(415, "The body has to be an archive", detail, {"Accept": kinds})
    detail = "Send the header `Content-Type: application/json` with a body of JSON."
    return problem(415, "The body has to be JSON", detail, {"Accept": "application/json"})
