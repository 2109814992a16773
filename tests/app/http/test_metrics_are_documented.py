"""docs/metrics.md has every metric that a service shows, and no other."""

import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.executions.repository import ExecutionRepository
from common.instruments import EVENTS, MESSAGE_RESULTS, REPORT_RESULTS, SENT, SOURCES
from common.mongo.types import Client
from common.settings.group import PROJECT_ROOT
from tests.support.samples import execution
from training.runs.repository import TrainingRunRepository

PAGE = (PROJECT_ROOT / "docs" / "metrics.md").read_text()

OF_A_BROKER = ("enel_broker_up",)
"""Shown where one is configured; tests/e2e/test_training_by_message.py does."""

Described = dict[str, tuple[str, frozenset[str]]]
"""Metric to type and names of labels."""


def cells() -> Iterator[list[str]]:
    for line in PAGE.splitlines():
        if line.startswith("| `enel_"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def documented() -> Described:
    return {
        name.strip("`"): (kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in cells()
    }


async def shown(service: httpx.AsyncClient) -> Described:
    """Of which there is a sample: labels are unknown otherwise."""
    found: Described = {}
    for family in text_string_to_metric_families((await service.get("/metrics")).text):
        if family.name.startswith("enel_") and family.samples and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels}
            found[name] = (family.type, frozenset(labels - {"le"}))
    return found


@pytest.fixture
async def everything_happened(service: httpx.AsyncClient, mongo: Client) -> None:
    """What is shown only once there is something to show."""
    database: str = service.database  # type: ignore[attr-defined]
    runs = [execution(), execution()]
    for run in runs:
        await ExecutionRepository(mongo, database).insert(run)
    bad = {"$set": {"attempt_id": "first"}}
    await mongo[database]["application_execution"].update_one({"_id": runs[0].id}, bad)
    assert (await service.get(f"/submission/applications/{runs[0].id}")).status_code == 500
    await TrainingRunRepository(mongo, database).enqueue(
        system_name="spark", algorithm_name="A", model_name="none", experiment_name="tests", trials=1
    )
    assert not (await service.get("/models", headers={"Host": "elsewhere.example"})).is_success


@pytest.mark.usefixtures("everything_happened")
async def test_the_page_has_every_metric_with_its_labels(service: httpx.AsyncClient) -> None:
    without_a_broker = {name: each for name, each in documented().items() if name not in OF_A_BROKER}
    assert await shown(service) == without_a_broker


def test_the_page_has_every_value_that_is_not_plain() -> None:
    for value in (*EVENTS, *REPORT_RESULTS, *MESSAGE_RESULTS, *SENT, *SOURCES[:-1]):
        assert f"`{value}`" in PAGE, value


def test_queries_ask_for_what_there_is() -> None:
    queries = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) >= 6
    names = documented()
    for metric, labels in re.findall(r"(enel_\w+)(?:\{([^}]*)\})?", "\n".join(queries)):
        name = metric if metric in names else re.sub(r"_(bucket|sum|count)$", "", metric)
        assert name in names, metric
        assert set(re.findall(r"(\w+)=", labels)) <= names[name][1], metric
