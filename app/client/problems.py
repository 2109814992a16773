"""What the service answers instead of what was asked for."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import httpx

_MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An answer that is no success, as RFC 9457 describes it.

    Attributes:
        status: Of HTTP.
        title: What kind of problem it is.
        detail: What is wrong this time.
        errors: `field` and `message` of everything that is wrong with a request.
        retry_after_seconds: When to try again, where the service says so.
        members: What else is said about it.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        retry_after_seconds: int | None = None,
        members: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(f"{status} {title}: {detail}" if detail else f"{status} {title}")
        self.status, self.title, self.detail, self.errors = status, title, detail, tuple(errors)
        self.retry_after_seconds, self.members = retry_after_seconds, members

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """From an answer that was read; one of a proxy, for instance, may be anything."""
        after = response.headers.get("retry-after", "")
        again = int(after) if after.isdecimal() else None
        if not response.headers.get("content-type", "").startswith(_MEDIA_TYPE):
            return cls(response.status_code, response.reason_phrase, response.text.strip(), (), again)
        body: dict[str, Any] = response.json()
        return cls(
            int(body.pop("status", response.status_code)),
            body.pop("title", None) or response.reason_phrase,
            body.pop("detail", ""),
            body.pop("errors", ()),
            again,
            body,
        )
