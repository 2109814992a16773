"""What API servers, operators and people send that is odd: it is answered for, and holds up nothing else."""

import asyncio
import copy
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from submission.kubernetes import resources
from submission.kubernetes.apache.states import observe as observe_apache
from submission.kubernetes.errors import ResourceVersionExpired
from submission.kubernetes.states import observe, time_of
from tests.support.on_kubernetes import Cluster, cluster, until


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions, may_be_real=False) as here:
        yield here


async def test_a_list_whose_pages_are_compacted_away_is_begun_anew(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PAGE", 2)
    runner = here.runner(watches=False)
    names = {(await here.start(runner))[1] for _ in range(5)}
    here.api.compact_between_pages = 1
    found, version = await here.applications.ours(here.namespace)
    assert [each["metadata"]["name"] for each in found] == sorted(names)
    assert version
    here.api.compact_between_pages = 100
    with pytest.raises(ResourceVersionExpired):
        await here.applications.ours(here.namespace)


async def test_events_of_no_known_type_and_errors_of_any_code_are_survived(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await until(lambda: here.api.requests[-1].startswith("WATCH"))
    resource = here.api.resources["sparkapplications", here.namespace, name]
    odd = copy.deepcopy(resource) | {"status": {"applicationState": {"state": "FAILED"}}}
    here.api.tell("RELISTED", odd)
    for code in (403, 429, 504, None, "no number", True):
        here.api.tell("ERROR", copy.deepcopy(resource) | {"kind": "Status", "code": code, "message": "odd"})
        await here.operator.annotate(name)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    assert "FAILED" not in await here.states(execution_id)


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_copy_of_a_resource_says_nothing_of_the_execution(here: Cluster, restarts: bool) -> None:
    """As somebody makes one with kubectl, by another name: its labels are the same."""
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    copied = copy.deepcopy((await here.executions.get(execution_id)).manifests[0])
    for number, at in enumerate(("a-copy", "z-copy")):  # before and behind it in a list
        copied["metadata"]["name"] = at
        await here.applications.create(copied, here.namespace)
        await here.operator.report(at, ("FAILED", "COMPLETED")[number], "by hand")
    if restarts:
        await runner.aclose()
        here.runner()
        await until(lambda: here.api.requests[-1].startswith("WATCH"))
    await here.delete("a-copy")
    await here.operator.annotate(name)
    await asyncio.sleep(0.5)
    assert (await here.executions.get(execution_id)).state == "RUNNING"
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")


async def test_a_time_that_is_yet_to_come_is_not_known(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    far = (utc_now() + timedelta(days=400)).isoformat(timespec="seconds")
    await here.operator.report(name, "COMPLETED", terminationTime=far)
    ended = await here.until(execution_id, "COMPLETED")
    assert (ended.end_time, ended.platform_end_time) == (None, None)
    assert ended.state_changes[-1].at < utc_now() + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("2026-11-29T02:30:00Z", datetime(2026, 11, 29, 2, 30, tzinfo=UTC)),
        ("2026-11-29T02:30:00.123456789Z", datetime(2026, 11, 29, 2, 30, 0, 123456, tzinfo=UTC)),
        ("2026-11-29T03:30:00+01:00", datetime(2026, 11, 29, 2, 30, tzinfo=UTC)),
        ("2026-11-29 02:30:00", datetime(2026, 11, 29, 2, 30, tzinfo=UTC)),
        ("2026-11-29 02:30:00 +0000 UTC", None),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("soon", None),
        (1_764_383_400, None),
        (None, None),
    ],
)
def test_times_in_any_form(said: object, moment: datetime | None) -> None:
    assert time_of(said) == moment


ODD: tuple[Any, ...] = (None, [], "text", 7, True, {"unheard": {}})


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "path",
    [
        ("metadata",),
        ("spec",),
        ("spec", "sparkConf"),
        ("spec", "restartPolicy"),
        ("spec", "applicationTolerations"),
        ("spec", "applicationTolerations", "restartConfig"),
        ("spec", "applicationTolerations", "restartConfig", "maxRestartAttempts"),
        ("spec", "applicationTolerations", "restartConfig", "maxRestartOnFailure"),
        ("status",),
        ("status", "applicationState"),
        ("status", "applicationState", "state"),
        ("status", "applicationState", "errorMessage"),
        ("status", "driverInfo"),
        ("status", "executionAttempts"),
        ("status", "terminationTime"),
        ("status", "currentState"),
        ("status", "currentState", "message"),
        ("status", "currentState", "lastObservedDriverStatus"),
        ("status", "currentState", "lastObservedDriverStatus", "containerStatuses"),
        ("status", "stateTransitionHistory"),
        ("status", "currentAttemptSummary"),
        ("status", "currentAttemptSummary", "attemptInfo", "restartCounter"),
    ],
    ids=".".join,
)
def test_whatever_is_missing_or_odd_in_a_resource_is_answered_for(path: tuple[str, ...], value: Any) -> None:
    state = {"currentStateSummary": "Failed", "message": "no", "lastTransitionTime": "2026-11-29T02:30:00Z"}
    resource: dict[str, Any] = {
        "metadata": {"name": "a", "namespace": "b", "creationTimestamp": "2026-11-29T02:30:00Z"},
        "spec": {
            "sparkConf": {"spark.a": "b"},
            "restartPolicy": {"type": "OnFailure", "onFailureRetries": 2},
            "applicationTolerations": {
                "restartConfig": {
                    "restartPolicy": "OnFailure",
                    "maxRestartAttempts": 2,
                    "maxRestartOnFailure": 2,
                }
            },
        },
        "status": {
            "applicationState": {"state": "FAILING", "errorMessage": "no"},
            "driverInfo": {"podName": "a-driver"},
            "executionAttempts": 1,
            "terminationTime": "2026-11-29T02:30:00Z",
            "currentState": {**state, "lastObservedDriverStatus": {"containerStatuses": [{"name": None}]}},
            "stateTransitionHistory": {"0": state},
            "currentAttemptSummary": {"attemptInfo": {"id": 0, "restartCounter": 0}},
        },
    }
    place = resource
    for key in path[:-1]:
        place = place[key]
    for change in (lambda: place.__setitem__(path[-1], value), lambda: place.pop(path[-1])):
        change()
        for read in (observe, observe_apache):
            observation = read(resource)
            assert observation.state is None or observation.state.value
            assert isinstance(observation.reason, str)
        resources.version_of(resource)
        resources.execution_id_of_resource(resource)
