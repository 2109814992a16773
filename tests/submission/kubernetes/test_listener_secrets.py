"""Tokens of listeners on Kubernetes: a Secret for each application, which goes with it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from bson import ObjectId

from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.kubernetes.errors import KubernetesForbidden
from submission.kubernetes.listener_secrets import ListenerSecrets
from submission.kubernetes.runner import SparkOperatorRunner
from tests.support.on_kubernetes import Cluster, cluster, manifest_of, until
from tests.support.samples import specs


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions, may_be_real=False) as here:
        yield here


def with_secrets(here: Cluster) -> SparkOperatorRunner:
    made = iter(f"token-{number}" for number in range(10))

    async def token_for(_: str) -> str:
        return next(made)

    return here.runner(watches=False, listener_secrets=ListenerSecrets(here.kubernetes, token_for))


async def stored(here: Cluster, *, has_own_token: bool = True) -> ApplicationExecution:
    execution_id = str(ObjectId())
    manifest = manifest_of(execution_id, has_own_token=has_own_token)
    execution = ApplicationExecution(id=execution_id, runner="kubernetes", manifests=[manifest], **specs())
    await here.executions.insert(execution)
    return execution


def secrets(here: Cluster) -> list[dict[str, Any]]:
    return [resource for key, resource in here.api.resources.items() if key[0] == "secrets"]


async def test_the_driver_finds_its_token_in_a_secret_of_its_application(here: Cluster) -> None:
    execution = await stored(here)
    [manifest] = execution.manifests
    created = await with_secrets(here).start(manifest, execution.id)
    [secret] = secrets(here)
    reference = manifest["spec"]["driver"]["envSecretKeyRefs"]["ENEL_CALLBACK_TOKEN"]
    assert reference == {"name": secret["metadata"]["name"], "key": "token"}
    assert secret["stringData"] == {"token": "token-0"}
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("SparkApplication", created["metadata"]["uid"])
    assert "token-0" not in str(await here.executions.get(execution.id))


async def test_without_the_right_it_is_said_before_anything_is_stored(here: Cluster) -> None:
    here.api.forbidden.add(("create", "secrets"))
    runner = with_secrets(here)
    with pytest.raises(KubernetesForbidden, match=r"may not create secrets .* CALLBACK_TOKEN_SECRET"):
        await runner.check(manifest_of("1", has_own_token=True))
    await runner.check(manifest_of("1", has_own_token=False))


async def test_checking_creates_nothing(here: Cluster) -> None:
    await with_secrets(here).check(manifest_of("1", has_own_token=True))
    assert not here.api.resources


async def test_an_application_whose_token_is_the_settings_has_no_secret(here: Cluster) -> None:
    execution = await stored(here, has_own_token=False)
    await with_secrets(here).start(execution.manifests[0], execution.id)
    assert not secrets(here)


async def test_a_secret_that_could_not_be_created_is_later(here: Cluster) -> None:
    execution = await stored(here)
    here.api.fail(method="POST", path="/secrets", status=500)
    await with_secrets(here).start(execution.manifests[0], execution.id)
    await until(lambda: len(secrets(here)) == 1)


@pytest.mark.parametrize("was_created", [False, True])
async def test_a_service_that_died_in_between(here: Cluster, was_created: bool) -> None:
    """Before the resource was created, or between it and its Secret."""
    execution = await stored(here)
    if was_created:
        await here.runner(watches=False).start(execution.manifests[0], execution.id)
    assert not secrets(here)
    await with_secrets(here).resume([await here.executions.get(execution.id)])
    await until(lambda: len(secrets(here)) == 1)
    assert len(here.api.names()) == 1


async def test_what_somebody_deleted_meanwhile_stays_deleted(here: Cluster) -> None:
    execution = await stored(here)
    runner = with_secrets(here)
    await here.runner(watches=False).start(execution.manifests[0], execution.id)
    here.api.delete(execution.manifests[0]["metadata"]["name"])
    await runner.resume([await here.executions.get(execution.id)])
    await runner.aclose()
    assert (here.api.names(), secrets(here)) == ([], [])
