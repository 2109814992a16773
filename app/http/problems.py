"""Every failure as `application/problem+json` (RFC 9457)."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    PyMongoError,
    WaitQueueTimeoutError,
)
from starlette.exceptions import HTTPException

from app.http.allowed import with_all_allowed
from app.http.headers import HEADERS
from app.http.refusals import count_refusal, count_report_not_stored
from common.disks import is_full, is_of_the_disk, why_not_written
from common.errors import ServiceError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_MAX_REPORTED_ERRORS = 20


class FieldError(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


_SCHEMA = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
_SCHEMA["properties"]["errors"]["items"] = _SCHEMA.pop("$defs")["FieldError"]

_REFUSALS = {401: "token", 403: "permission", 429: "limit"}
"""Status of errors that refuse to do anything at all, and what `/metrics` calls the reason."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status, description in (
        ("4XX", "The request is wrong, or does not fit the present state; `detail` says why"),
        ("5XX", "The service, or something it depends on, fails; 503 may be tried again"),
    )
}
"""Of every path, for the API's own documentation."""


def problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    """A problem; the values that were sent are not repeated: they may be secret, huge, or no JSON."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _validation_problem(errors: Sequence[Any]) -> JSONResponse:
    found = [
        {
            "field": ".".join(_printable(part) for part in error["loc"] if part != "body") or "body",
            "message": _printable(error["msg"], _most_of(error)).removeprefix("Value error, "),
        }
        for error in errors[:_MAX_REPORTED_ERRORS]
    ]
    detail = "; ".join(f"{error['field']}: {error['message']}" for error in found)
    return problem(422, "The request is not valid", detail, errors=found)


def _most_of(error: Mapping[str, Any]) -> int:
    """Characters: pydantic may repeat what was sent; what is refused otherwise is named in full."""
    return 300 if "type" in error else 8000


def _printable(value: object, most: int = 300) -> str:
    return str(value).encode("utf-8", "replace").decode()[:most]


async def _render_service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    if reason := _REFUSALS.get(error.status):
        count_refusal(request.scope, reason)
    if not error.members.get("stored"):
        count_report_not_stored(request.scope, error.status)
    return problem(error.status, error.title, str(error), error.headers, **error.members)


async def _render_request_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    count_report_not_stored(request.scope, 422, error.body)
    return _validation_problem(error.errors())


async def _render_model_validation(request: Request, error: Exception) -> JSONResponse:
    """From `UpdateInformation.event`: the updates are checked once their kind is known."""
    assert isinstance(error, ValidationError)
    if error.title not in ("ApplicationStarted", "JobEnded", "ApplicationEnded"):
        return await _render_unexpected(request, error)
    count_report_not_stored(request.scope, 422)
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return _validation_problem([{**entry, "loc": ("updates", *entry["loc"])} for entry in errors])


async def _render_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    count_report_not_stored(request.scope, error.status_code)
    headers = with_all_allowed(request, error.headers) if error.status_code == 405 else error.headers
    return problem(error.status_code, "The request cannot be answered", str(error.detail), headers)


async def _render_mongo_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PyMongoError)
    count_report_not_stored(request.scope, 503)
    away = isinstance(error, ConnectionFailure | ExecutionTimeout | NetworkTimeout | WaitQueueTimeoutError)
    if away or error.timeout or error.has_error_label("TransientTransactionError"):
        logger.warning("MongoDB is away: %s %s: %s", request.method, request.url.path, type(error).__name__)
        return problem(
            503,
            "Temporarily unavailable",
            "MongoDB cannot be reached; nothing was stored.",
            {"Retry-After": "5"},
        )
    return await _render_unexpected(request, error)


async def _render_os_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    if not is_of_the_disk(error):
        return await _render_unexpected(request, error)
    count_report_not_stored(request.scope, 507)
    logger.error("%s %s: %s", request.method, request.url.path, why_not_written(error, "DATA_DIR"))
    # Without the path: it is nothing to those who ask.
    why = "is full" if is_full(error) else "is read-only"
    detail = f"The disk of this service {why}; nothing was stored."
    return problem(507, "No room to store it", detail, {"Retry-After": "30"})


async def _render_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    # Rendered outside of what adds them to all other answers.
    return problem(500, "Internal error", "The service failed; its log says why.", HEADERS)


Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]

HANDLERS: Mapping[type[Exception], Handler] = {
    ServiceError: _render_service_error,
    RequestValidationError: _render_request_validation,
    ValidationError: _render_model_validation,
    HTTPException: _render_http_exception,
    PyMongoError: _render_mongo_error,
    OSError: _render_os_error,
    Exception: _render_unexpected,
}
"""By error; the closest class of an error decides."""


def install(app: FastAPI) -> None:
    for error, handler in HANDLERS.items():
        app.add_exception_handler(error, _with_error(handler))


def _with_error(handler: Handler) -> Handler:
    """The same; where clients of the Open Inference Protocol ask, the problem has an `error`, too."""

    async def render(request: Request, error: Exception) -> JSONResponse:
        response = await handler(request, error)
        if not request.url.path.startswith("/v2/"):
            return response
        body = json.loads(bytes(response.body))
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return JSONResponse({**body, "error": body["detail"]}, response.status_code, headers)

    return render
