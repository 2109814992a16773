"""Requests that were refused, and reports that were not stored, are counted for `/metrics`."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.types import Scope

from common.auth import Permission
from common.instruments import EVENTS, REFUSED, UNKNOWN_EVENT
from common.timing import FAILED
from routers.principal import REPORTED_EVENT, permission_for
from routers.state import ServiceState


def count_refusal(scope: Scope, reason: str) -> None:
    """Count one; while the service starts nobody counts."""
    state: ServiceState | None = scope.get("state", {}).get("service")
    if state is not None and hasattr(state, "access"):
        state.access.refusals[reason] += 1


def count_report_not_stored(scope: Scope, status: int, body: Any = None) -> None:
    """Count it if the request was a report: refused, or failed through no fault of its sender.

    Args:
        status: Of the answer.
        body: As far as it was understood, where it was not valid.
    """
    route = scope.get("route")
    if not isinstance(route, APIRoute) or permission_for(route) is not Permission.REPORT:
        return
    state: ServiceState | None = scope.get("state", {}).get("service")
    if state is None or scope["method"] not in (route.methods or ()):
        return
    event = scope.get(REPORTED_EVENT) or _said_event(body)
    state.instruments.reports.labels(event, FAILED if status >= 500 else REFUSED).inc()


def _said_event(body: Any) -> str:
    said = body.get("update_event") if isinstance(body, dict) else None
    return said if isinstance(said, str) and said in EVENTS else UNKNOWN_EVENT
