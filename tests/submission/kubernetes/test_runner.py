"""Creating, ending and reading applications on Kubernetes while the API server fails in many ways."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from common.errors import Conflict, InvalidRequest, Unavailable
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.kubernetes.errors import KubernetesForbidden
from submission.kubernetes.kept_logs import KEPT_BYTES
from submission.manifest.build import EXECUTION_LABEL
from tests.support.on_kubernetes import Cluster, cluster, connected, manifest_of, until
from tests.support.samples import unique_name


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions) as here:
        yield here


# --- creating -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after": 0},
        {"drop": "before"},
        {"drop": "after"},
        {"status": 503, "times": 2},
    ],
    ids=str,
)
async def test_a_creation_that_fails_at_first(here: Cluster, fault: dict[str, object]) -> None:
    """Whether the request was carried out or not: there is one resource, and the answer shows it."""
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.fail(method="POST", **fault)
    created = await runner.start(execution.manifests[0], execution.id)
    assert await here.names() == [created["metadata"]["name"]]
    assert created["metadata"]["uid"]
    assert (await here.executions.get(execution.id)).state == "PENDING"


async def test_an_answer_that_got_lost_is_looked_for_and_not_asked_for_again(here: Cluster) -> None:
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.fail(method="POST", drop="after")
    await runner.start(execution.manifests[0], execution.id)
    assert [request.split()[0] for request in here.api.requests] == ["POST", "GET"]


async def test_an_unknown_outcome_is_found_out_in_the_background(here: Cluster) -> None:
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.fail(method="POST", drop="after")
    here.api.fail(method="GET", status=503, times=15)  # as often as it is tried
    here.api.fail(method="POST", drop="before", times=2)
    answer = await runner.start(execution.manifests[0], execution.id)
    assert answer["status"]["applicationState"]["state"] == "NEW"
    stored = await here.executions.get(execution.id)
    assert stored.state == "NEW"
    assert "being found out" in stored.state_reason
    await here.until(execution.id, "PENDING")
    assert len(await here.names()) == 1


@pytest.mark.parametrize(
    "second", [{"status": 429, "retry_after": 60}, {"status": 403}, {"status": 404}], ids=str
)
async def test_what_a_second_attempt_is_told_says_nothing_about_the_first(
    here: Cluster, second: dict[str, int]
) -> None:
    """Or the caller would be told to submit again what already runs."""
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.fail(method="POST", drop="after")
    here.api.fail(method="GET", status=503, times=5)  # as often as it is looked for
    here.api.fail(method="POST", **second)
    await runner.start(execution.manifests[0], execution.id)
    await here.until(execution.id, "PENDING")
    assert len(await here.names()) == 1


async def test_a_name_that_is_taken_and_cannot_be_looked_at(here: Cluster) -> None:
    runner = here.runner(watches=False)
    execution = await here.store()
    await here.applications.create(execution.manifests[0], here.namespace)  # as another replica
    here.api.fail(method="GET", status=503, times=5)
    answer = await runner.start(execution.manifests[0], execution.id)
    assert answer["status"]["applicationState"]["state"] == "NEW"
    await here.until(execution.id, "PENDING")


async def test_a_name_that_belongs_to_something_else(here: Cluster) -> None:
    runner = here.runner(watches=False)
    mine, other = await here.store(), await here.store()
    other.manifests[0]["metadata"]["name"] = mine.manifests[0]["metadata"]["name"]
    await here.applications.create(other.manifests[0], here.namespace)
    with pytest.raises(Conflict, match="another SparkApplication"):
        await runner.start(mine.manifests[0], mine.id)
    resource = await here.applications.find(mine.manifests[0]["metadata"]["name"], here.namespace)
    assert resource is not None
    assert resource["metadata"]["labels"][EXECUTION_LABEL] == other.id
    assert await runner.stop(mine.id) is True
    await here.until(mine.id, "KILLED")
    assert len(here.api.names()) == 1, "it is the other one's"


async def test_the_api_server_is_away(here: Cluster) -> None:
    async with connected("http://127.0.0.1:9") as nobody:
        here.kubernetes = nobody
        runner = here.runner(watches=False)
        execution = await here.store()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await runner.start(execution.manifests[0], execution.id)


async def test_missing_permissions_are_named(here: Cluster) -> None:
    runner = here.runner(watches=False)
    here.api.forbidden = {("create", "sparkapplications")}
    with pytest.raises(KubernetesForbidden) as caught:
        await runner.check(manifest_of("1"))
    assert "create sparkapplications.sparkoperator.k8s.io in the namespace default" in str(caught.value)
    assert "system:serviceaccount:default:enel" in str(caught.value)
    assert caught.value.status == 503


async def test_a_missing_crd_is_named(here: Cluster) -> None:
    here.api.has_crd = False
    with pytest.raises(Unavailable, match="install the Kubeflow spark-operator"):
        await here.runner(watches=False).check(manifest_of("1"))


async def test_refusals_carry_their_causes(here: Cluster) -> None:
    if here.double is not None and here.double.schema is None:
        pytest.skip("the CRD of the spark-operator is not here")
    runner = here.runner(watches=False)
    manifest = manifest_of("1")
    manifest["spec"]["driver"]["cores"] = "many"
    verdict = await runner.dry_run(manifest)
    assert (verdict["accepted"], verdict["status"]) == (False, 422)
    assert verdict["errors"][0]["field"] == "spec.driver.cores"
    with pytest.raises(InvalidRequest) as caught:
        await runner.check(manifest)
    assert caught.value.members["errors"] == verdict["errors"]

    unknown = manifest_of("2", dynamicAlocation={})
    verdict = await runner.dry_run(unknown)
    assert verdict["accepted"] is False
    assert "spec.dynamicAlocation" in verdict["reason"]
    assert await here.names() == []


async def test_namespaces_that_are_not_opened_or_not_there(here: Cluster) -> None:
    runner = here.runner(watches=False)
    manifest = manifest_of("1")
    manifest["metadata"]["namespace"] = "kube-system"
    with pytest.raises(InvalidRequest, match="may not be used"):
        await runner.check(manifest)
    assert (await runner.dry_run(manifest))["accepted"] is False
    assert here.api.requests == []
    here.api.namespaces.clear()
    verdict = await runner.dry_run(manifest_of("2"))
    assert verdict["reason"] == "There is no namespace default in the cluster."


async def test_a_refusal_in_the_background_is_recorded(here: Cluster) -> None:
    """Stored, the service died, and by now the cluster would not have it any more."""
    if here.double is not None and here.double.schema is None:
        pytest.skip("the CRD of the spark-operator is not here")
    runner = here.runner(watches=False)
    execution = await here.store()
    execution.manifests[0]["spec"]["driver"]["cores"] = "many"
    await runner.resume([execution])
    failed = await here.until(execution.id, "SUBMISSION_FAILED")
    assert "spec.driver.cores" in failed.state_reason
    assert failed.end_time is not None


# --- ending ---------------------------------------------------------------------------------------


async def test_a_stop_during_an_outage_is_made_up_for(here: Cluster) -> None:
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    here.api.fail(method="DELETE", status=503, times=5)
    with pytest.raises(Unavailable, match="ended as soon as Kubernetes answers"):
        await runner.stop(execution_id, "Killed on request of Ada.")
    ended = await here.until(execution_id, "KILLED")
    assert ended.state_reason == "Killed on request of Ada."
    assert await here.names() == []


async def test_a_stop_that_another_replica_sees(here: Cluster) -> None:
    """The other one sees a deletion, and knows why."""
    here.runner()
    execution_id, name = await here.start(here.runner(watches=False))
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    await here.executions.note(execution_id, {"stop_reason": "Killed on request of Ada."})
    await here.delete(name)
    assert (await here.until(execution_id, "KILLED")).state_reason == "Killed on request of Ada."


async def test_what_is_stopped_while_it_is_created_does_not_run(here: Cluster) -> None:
    runner = here.runner()
    execution = await here.store()
    here.api.fail(method="POST", delay_seconds=0.5)
    starting = asyncio.create_task(runner.start(execution.manifests[0], execution.id))
    await until(lambda: any(request.startswith("POST") for request in here.api.requests))
    assert await runner.stop(execution.id, "Killed on request.") is True
    await starting
    await until(lambda: here.api.names() == [])
    assert (await here.executions.get(execution.id)).state == "KILLED"


async def test_a_stop_that_comes_too_late(here: Cluster) -> None:
    """What has completed is not killed, and not deleted either."""
    runner = here.runner(watches=False)
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    await here.operator.end(name)
    assert await runner.stop(execution_id) is True
    assert await here.names() == [name]
    here.runner()
    assert (await here.until(execution_id, "COMPLETED", "KILLED")).state == "COMPLETED"


# --- logs -----------------------------------------------------------------------------------------


async def test_logs_outlive_their_pods(here: Cluster) -> None:
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    here.operator.write(name, "connected with password=hunter2")
    here.operator.write(name, "x" * KEPT_BYTES)
    for number in range(10):
        here.operator.write(name, f"line {number}")
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")
    whole = await runner.read_log(execution_id, 10_000)
    assert whole is not None
    assert whole.startswith("awake\nconnected")
    here.operator.remove_pod(name)
    await here.delete(name)
    kept = await runner.read_log(execution_id, 10_000)
    assert kept is not None
    assert kept.splitlines() == [*(f"line {number}" for number in range(10)), "done"]
    assert await runner.read_log(execution_id, 1) == "done\n"
    numbered = await runner.read_lines(execution_id, 9, ended=True)
    assert numbered is not None
    assert (numbered.lines, numbered.finished) == (["line 9", "done"], True)
    assert [line async for line in runner.follow_log(execution_id, 2)] == ["line 9", "done"]
    assert [line async for line in runner.follow_lines(execution_id, 9)] == ["line 9", "done"]


async def test_kept_logs_hold_no_secrets(here: Cluster) -> None:
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    here.operator.write(name, "connected with password=hunter2")
    assert await runner.stop(execution_id) is True
    kept = await here.logs.find(execution_id)
    assert kept is not None
    assert "awake" in kept
    assert "hunter2" not in kept


@pytest.mark.parametrize("lines_per_stamp", [1, 2])
async def test_a_log_is_followed_across_broken_connections(here: Cluster, lines_per_stamp: int) -> None:
    runner = here.runner()
    here.api.lines_per_stamp = lines_per_stamp
    execution_id, name = await here.start(runner)
    lines: list[str] = []

    async def follow() -> None:
        async for line in runner.follow_log(execution_id, 100):
            lines.append(line)

    following = asyncio.create_task(follow())
    await here.operator.run(name)
    await until(lambda: lines == ["awake"])
    here.api.break_logs()
    here.operator.write(name, "still awake")
    await until(lambda: "still awake" in lines)
    await here.operator.end(name)
    await asyncio.wait_for(following, 60)
    assert lines == ["awake", "still awake", "done"]


async def test_logs_while_the_api_server_is_away(here: Cluster) -> None:
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    here.api.forbidden = {("get", "pods/log")}
    with pytest.raises(KubernetesForbidden, match="get pods/log"):
        await runner.read_log(execution_id, 10)
    await here.logs.keep(execution_id, None, "what was kept\n")
    assert await runner.read_log(execution_id, 10) == "what was kept\n"
    assert await runner.read_log(unique_name("none"), 10) is None
