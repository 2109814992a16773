"""What is measured, as Prometheus reads it."""

from collections.abc import Iterable

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""By name and labels."""


async def scrape(service: httpx.AsyncClient) -> Samples:
    answer = await service.get("/metrics")
    assert answer.status_code == 200
    families: Iterable = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


class Scraped:
    """What a service's metrics have moved by since this was made."""

    def __init__(self, service: httpx.AsyncClient, before: Samples) -> None:
        self._service, self._before = service, before

    @classmethod
    async def of(cls, service: httpx.AsyncClient) -> "Scraped":
        return cls(service, await scrape(service))

    async def moved(self, *prefixes: str) -> dict[str, float]:
        """Samples whose names begin so and that have changed, as `name{label="value"}`."""
        after = await scrape(self._service)
        return {
            _text(name, labels): value - self._before.get((name, labels), 0.0)
            for (name, labels), value in after.items()
            if name.startswith(prefixes) and value != self._before.get((name, labels), 0.0)
        }


class Counted:
    """What instruments have counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, name: str, **labels: str) -> float:
        value = self._registry.get_sample_value(name, labels)
        assert value is not None, f"{name} with {labels} is not shown"
        return value


def _text(name: str, labels: frozenset[tuple[str, str]]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels))
    return f"{name}{{{inside}}}" if inside else name
