"""What is not counted while it happens, but read when somebody scrapes `/metrics`."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pymongo.errors import PyMongoError

from common.models.artifacts import StoreUnavailable
from common.mongo.stored import unreadable_counts
from routers.state import ServiceState
from submission.serving.opened import OpenServing

_COUNT_SECONDS = 3.0
"""Prometheus gives up after ten seconds; what the process itself knows has to arrive in any case."""

_HELP = {
    "enel_applications": "Application executions by state, of all services.",
    "enel_training_runs": "Training runs by state, of all services.",
}
"""By metric."""

StateCounts = Mapping[str, Mapping[str, int]]
"""Metric to state to number."""


@dataclass(frozen=True)
class Stored:
    """What has to be asked for."""

    states: StateCounts | None
    """None while MongoDB does not answer."""
    outbox: int | None
    """Models to be published; None while the service's own folder cannot be read."""


async def read_stored(state: ServiceState) -> Stored:
    """Ask MongoDB and the disk."""
    try:
        outbox = len(await state.publisher.kept())
    except StoreUnavailable:
        outbox = None
    return Stored(await count_states(state), outbox)


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


class Snapshot(CollectorRegistry):
    """A registry of one moment: nothing of it is kept for the next request."""

    def __init__(self, state: ServiceState, stored: Stored, database: str) -> None:
        super().__init__()
        self._state = state
        self._stored = stored
        self._database = database

    def collect(self) -> Iterator[Metric]:
        workers, cache = self._state.workers, self._state.models.cache
        yield CounterMetricFamily(
            "enel_prediction_worker_replacements",
            "Worker processes that died or were killed, and made way for others.",
            value=workers.counts.replacements,
        )
        yield _counter(
            "enel_prediction_overruns",
            "Forecasts that ran too long (timeout), or that were waited for too long (deadline).",
            "limit",
            {"timeout": workers.counts.time_limit_overruns, "deadline": workers.counts.deadline_overruns},
        )
        yield _gauge(
            "enel_prediction_requests",
            "Requests that wait for a prediction worker, and those that one is at.",
            "state",
            workers.load._asdict(),
        )
        yield GaugeMetricFamily(
            "enel_model_cache_entries", "Model versions whose files are in memory.", value=len(cache)
        )
        yield GaugeMetricFamily(
            "enel_model_cache_bytes", "Size of the model files in memory.", value=cache.cached_bytes
        )
        if self._stored.outbox is not None:
            yield GaugeMetricFamily(
                "enel_outbox_models",
                "Trained models that this service has yet to publish.",
                value=self._stored.outbox,
            )
        yield GaugeMetricFamily(
            "enel_mongodb_up", "Whether MongoDB answered.", value=float(self._stored.states is not None)
        )
        if self._state.messages.opened is not None:
            yield GaugeMetricFamily(
                "enel_broker_up",
                "Whether the broker of messages answered when it was last asked.",
                value=float(self._state.messages.opened.broker.is_up),
            )
        yield from _of_serving(self._state.serving)
        for metric, counts in (self._stored.states or {}).items():
            yield _gauge(metric, _HELP[metric], "state", counts)
        yield _counter(
            "enel_refused_requests",
            "Requests that were refused before anything was done: for how they were sent (host, origin,"
            " content_type), for who sent them (token, permission), for how many they were (limit).",
            "reason",
            self._state.access.refusals,
        )
        yield _gauge(
            "enel_unreadable_documents",
            "Stored documents that this process has met since its start and cannot read.",
            "collection",
            unreadable_counts(self._database),
        )


def _of_serving(serving: OpenServing) -> Iterator[Metric]:
    awake = serving.models.awake
    yield GaugeMetricFamily(
        "enel_served_models_loaded", "Models of teams that are in memory, for this service.", value=len(awake)
    )
    waiting = sum(loaded.batcher.waiting for server in awake for loaded in server.roles.values())
    yield GaugeMetricFamily(
        "enel_prediction_rows_waiting", "Rows that wait for a replica of their model.", value=waiting
    )
    engine = serving.models.engine.state
    yield GaugeMetricFamily(
        "enel_serving_engine_up", "Whether the engine's gateway runs.", value=float(engine.is_running)
    )
    yield CounterMetricFamily(
        "enel_serving_engine_deaths", "Gateways of the engine that ended by themselves.", value=engine.deaths
    )


def _counter(name: str, meaning: str, label: str, values: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
