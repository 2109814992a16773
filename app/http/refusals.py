"""Requests that were refused are counted, by reason, for `/metrics`."""

from starlette.types import Scope

from routers.state import ServiceState


def count_refusal(scope: Scope, reason: str) -> None:
    """Count one; while the service starts nobody counts."""
    state: ServiceState | None = scope.get("state", {}).get("service")
    if state is not None and hasattr(state, "access"):
        state.access.refusals[reason] += 1
