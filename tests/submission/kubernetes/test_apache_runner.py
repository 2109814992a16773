"""What is its own on Apache's operator: attempts, logs of drivers, deletion, what it cannot do."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from common.errors import InvalidRequest
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.kubernetes.apache.dialect import APACHE
from submission.kubernetes.listener_secrets import ListenerSecrets
from tests.support.apache_operator import FakeApacheOperator
from tests.support.on_kubernetes import Cluster, cluster, manifest_of
from tests.support.samples import specs

RESTARTS = {"type": "OnFailure", "onFailureRetries": 1}


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions, may_be_real=False, dialect=APACHE) as here:
        yield here


@pytest.fixture
def operator(here: Cluster) -> FakeApacheOperator:
    return cast(FakeApacheOperator, here.operator)


async def test_attempts_with_a_driver_of_their_own_each(here: Cluster, operator: FakeApacheOperator) -> None:
    runner = here.runner()
    execution = await here.store()
    execution.manifests[0]["spec"]["restartPolicy"] = RESTARTS
    await runner.start(execution.manifests[0], execution.id)
    name = execution.manifests[0]["metadata"]["name"]
    await operator.run(name)
    await here.until(execution.id, "RUNNING")
    operator.write(name, "the first")
    await operator.end(name, "Failed", "Driver failed.", is_last=False)
    between = await here.until(execution.id, "PENDING")
    assert between.state_reason.startswith("Attempt 1 has failed, and Apache's spark-operator starts")
    assert "Driver failed. (exit code 1, Error)" in between.state_reason
    await operator.report(name, "ScheduledToRestart")
    await operator.run(name)
    again = await here.until(execution.id, "RUNNING")
    assert again.driver_pod == f"{name}-1-driver"
    await operator.end(name)
    ended = await here.until(execution.id, "COMPLETED")
    assert ended.end_time is not None
    assert "the first" in (await runner.read_log(execution.id, 100, attempt=1) or "")
    assert "the first" not in (await runner.read_log(execution.id, 100) or "")


async def test_a_run_that_somebody_deletes_while_its_pods_are_released(
    here: Cluster, operator: FakeApacheOperator
) -> None:
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await operator.run(name)
    await here.until(execution_id, "RUNNING")
    await here.delete(name)
    ended = await here.until(execution_id, "KILLED")
    assert "not through this service" in ended.state_reason


async def test_one_that_nobody_takes_up(here: Cluster) -> None:
    runner = here.runner(pickup_seconds=0.1)
    execution_id, _ = await here.start(runner)
    found = await here.until(execution_id, "NOT_PICKED_UP")
    assert found.state_reason.startswith("The Apache spark-operator has not submitted it")


async def test_what_it_has_nothing_for_is_refused_before_anything_is_asked(here: Cluster) -> None:
    runner = here.runner(watches=False)
    manifest = manifest_of("66f0", dialect=APACHE, batchScheduler="volcano", monitoring={})
    with pytest.raises(InvalidRequest, match=r"batchScheduler: set .*schedulerName"):
        await runner.check(manifest)
    verdict = await runner.dry_run(manifest)
    assert (verdict["accepted"], verdict["checked_by"]) == (False, "kubernetes-apache")
    assert {each["field"] for each in verdict["errors"]} == {"batchScheduler", "monitoring"}
    with pytest.raises(InvalidRequest):
        await runner.start(manifest, "66f0")
    assert here.api.requests == []


async def test_a_dry_run_shows_what_would_be_sent(here: Cluster) -> None:
    runner = here.runner(watches=False)
    manifest = manifest_of("66f0", dialect=APACHE)
    verdict = await runner.dry_run(manifest)
    assert verdict["accepted"]
    assert verdict["resource"] == APACHE.render(manifest)
    assert here.api.names() == []


async def test_what_is_sent_has_no_token_and_its_secret_belongs_to_it(here: Cluster) -> None:
    async def token_for(_: str) -> str:
        return "hunter2"

    secrets = ListenerSecrets(here.kubernetes, token_for)
    runner = here.runner(watches=False, listener_secrets=secrets)
    execution = await here.store()
    manifest = manifest_of(execution.id, has_own_token=True, dialect=APACHE)
    created = await runner.start(manifest, execution.id)
    name = manifest["metadata"]["name"]
    key = "spark.kubernetes.driver.secretKeyRef.ENEL_CALLBACK_TOKEN"
    assert created["spec"]["sparkConf"][key] == f"{name}-listener:token"
    assert "hunter2" not in str(created)
    secret = here.api.resources["secrets", here.namespace, f"{name}-listener"]
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["apiVersion"], owner["uid"]) == ("spark.apache.org/v1", created["metadata"]["uid"])


async def test_runs_of_the_other_operator_are_left_alone(here: Cluster) -> None:
    execution = await here.store(state="RUNNING")
    manifests = execution.manifests
    other = ApplicationExecution(
        id="66f1", runner="kubernetes", state="RUNNING", manifests=manifests, **specs()
    )
    await here.executions.insert(other)
    here.runner()
    assert (await here.until(execution.id, "FAILED")).outcome_unknown
    assert (await here.executions.get(other.id)).state == "RUNNING"
