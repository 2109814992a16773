"""Errors with an HTTP status; `app.http.problems` renders them as RFC 9457 problem details."""

from collections.abc import Mapping
from typing import Any


class ServiceError(Exception):
    """A failure that a caller should be told about.

    The message becomes the problem's `detail`: it says what is wrong in the caller's terms and
    never contains a secret.
    """

    status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.members: dict[str, Any] = {}
        """Further members of the problem, for programs."""


class InvalidRequest(ServiceError):
    status, title = 422, "The request is not valid"


class Unauthorized(ServiceError):
    """The request does not show the token that it needs."""

    status, title = 401, "Not authorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ServiceError):
    """Who asks is known, and may not do this."""

    status, title = 403, "Not permitted"


class ModelKindNotFound(ServiceError):
    """There is no kind of model of this name."""

    status, title = 400, "Unknown model name"


class NotFound(ServiceError):
    status, title = 404, "Not found"


class ApplicationExecutionNotFound(NotFound):
    title = "Unknown application execution"


class TrainingRunNotFound(NotFound):
    title = "Unknown training run"


class ModelNotFound(NotFound):
    title = "No model is trained for this algorithm"


class Conflict(ServiceError):
    status, title = 409, "The request does not fit the present state"


class NoHistory(ServiceError):
    status, title = 412, "No history to learn from"


class PreconditionFailed(ServiceError):
    status, title = 412, "It is not as the request says"


class PayloadTooLarge(ServiceError):
    status, title = 413, "The request body is too large"


class Unavailable(ServiceError):
    """Something the service depends on is away; the same request may succeed later."""

    status, title = 503, "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class StartError(Exception):
    """The service cannot start; the message names the setting to look at."""
