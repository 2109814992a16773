"""`GET /metrics` for Prometheus: requests, states of applications and trainings, troubles of workers."""

import asyncio
import time
from collections.abc import Iterator, Mapping

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
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pymongo.errors import PyMongoError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.mongo.stored import unreadable_counts
from prediction.serving.worker_pool import PoolCounts
from routers.principal import OPEN
from routers.state import ServiceState

_COUNT_SECONDS = 3.0
"""Prometheus gives up after ten seconds; what the process itself knows has to arrive in any case."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; finest around the time that a recommendation takes."""

_HELP = {
    "enel_applications": "Application executions by state, of all services.",
    "enel_training_runs": "Training runs by state, of all services.",
}
"""By metric."""

StateCounts = Mapping[str, Mapping[str, int]]
"""Metric to state to number."""


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
        counts = await count_states(state)
        snapshot = _Snapshot(counts, state.worker_counts, unreadable_counts(database), state.access.refusals)
        body = generate_latest(registry) + generate_latest(snapshot)
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


async def count_states(state: ServiceState) -> StateCounts | None:
    """Documents by state; None while MongoDB does not answer."""
    try:
        async with asyncio.timeout(_COUNT_SECONDS):
            return {
                "enel_applications": await state.executions.count_states(),
                "enel_training_runs": await state.pretraining.runs.count_states(),
            }
    except (PyMongoError, TimeoutError):
        return None


class _Snapshot(CollectorRegistry):
    """A registry of one moment: nothing of it is kept for the next request."""

    def __init__(
        self,
        counts: StateCounts | None,
        workers: PoolCounts,
        unreadable: Mapping[str, int],
        refusals: Mapping[str, int],
    ) -> None:
        super().__init__()
        self._counts = counts
        self._workers = workers
        self._unreadable = unreadable
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "enel_prediction_worker_replacements",
            "Worker processes that died or were killed, and made way for others.",
            value=self._workers.replacements,
        )
        overruns = CounterMetricFamily(
            "enel_prediction_overruns",
            "Forecasts that ran too long (timeout), or that were waited for too long (deadline).",
            labels=["limit"],
        )
        overruns.add_metric(["timeout"], self._workers.time_limit_overruns)
        overruns.add_metric(["deadline"], self._workers.deadline_overruns)
        yield overruns
        yield GaugeMetricFamily(
            "enel_mongodb_up", "Whether MongoDB answered.", value=float(self._counts is not None)
        )
        for metric, counts in (self._counts or {}).items():
            family = GaugeMetricFamily(metric, _HELP[metric], labels=["state"])
            for state, count in sorted(counts.items()):
                family.add_metric([state], count)
            yield family
        refused = CounterMetricFamily(
            "enel_refused_requests",
            "Requests that were refused before anything was done: for how they were sent (host, origin,"
            " content_type), for who sent them (token, permission), for how many they were (limit).",
            labels=["reason"],
        )
        for reason, count in sorted(self._refusals.items()):
            refused.add_metric([reason], count)
        yield refused
        family = GaugeMetricFamily(
            "enel_unreadable_documents",
            "Stored documents that this process has met since its start and cannot read.",
            labels=["collection"],
        )
        for collection, count in sorted(self._unreadable.items()):
            family.add_metric([collection], count)
        yield family
