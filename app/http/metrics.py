"""`GET /metrics` for Prometheus: requests, what the service has counted, and what there is now."""

import time

from fastapi import FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.snapshot import Snapshot, read_stored
from routers.principal import OPEN
from routers.state import ServiceState

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; finest around the time that a recommendation takes."""


def install(app: FastAPI, database: str) -> None:
    """Measure the application's requests, and serve what was measured.

    Every application has a registry of its own, so that several in one process do not add up.
    """
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    durations = Histogram(
        "enel_http_request_duration_seconds",
        "Duration of requests by route, until the last byte of the answer.",
        ("method", "route", "status"),
        registry=registry,
        buckets=_BUCKETS,
    )
    app.add_middleware(MeasureRequests, durations=durations)

    async def metrics(request: Request) -> Response:
        """In Prometheus' text format. States are left out, and `enel_mongodb_up` is 0, without MongoDB."""
        state: ServiceState = request.state.service
        snapshot = Snapshot(state, await read_stored(state), database)
        registries = (registry, state.instruments.registry, snapshot)
        body = b"".join(generate_latest(each) for each in registries)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.add_api_route(
        "/metrics", metrics, methods=["GET"], tags=["health"], response_class=Response, openapi_extra=OPEN
    )


class MeasureRequests:
    """Observe how long each request takes. Innermost, where the route that was taken can be seen."""

    def __init__(self, app: ASGIApp, durations: Histogram) -> None:
        self._app = app
        self._durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # where the answer never begins, the error handler outside gives one

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            # The route's pattern, not the path: ids would make a time series each.
            route = getattr(scope.get("route"), "path", "none")
            self._durations.labels(scope["method"], route, status).observe(time.perf_counter() - started)
