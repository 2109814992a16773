"""Verdicts follow evidence, and absence is told as absence: cases of the spark-operator."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from common.errors import InvalidRequest, NotFound
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import BackOff
from common.mongo.types import Client
from submission.kubernetes import resources, watcher
from submission.kubernetes import runner as runner_module
from submission.kubernetes.absence import why_gone
from submission.kubernetes.errors import Access, KubernetesRefused, error_of
from submission.kubernetes.keepalive import keep_alive
from submission.outcomes.summary import summarize_runs
from tests.support import applied
from tests.support.on_kubernetes import OFTEN, SECONDS, Cluster, cluster, manifest_of, until
from tests.support.samples import application_start, at, execution, job_end


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions) as here:
        yield here


async def send(here: Cluster, *bodies: dict[str, Any]) -> None:
    await applied.send(here.executions, *bodies)


async def test_a_submission_that_failed_while_its_driver_runs_can_be_ended(here: Cluster) -> None:
    """kubeflow/spark-operator 2788: an earlier attempt has made the driver."""
    runner = here.runner()
    execution_id, name = await here.start(runner)
    await here.operator.report(name, "SUBMISSION_FAILED", "driver pod already exists", submissionAttempts=1)
    await here.until(execution_id, "SUBMISSION_FAILED")
    assert await runner.stop(execution_id) is False, "nothing contradicts it"
    await send(here, application_start(execution_id), job_end(execution_id, 0))
    contradicted = await here.executions.get(execution_id)
    assert (contradicted.state, contradicted.driver_reports) == ("SUBMISSION_FAILED", True)
    here.api.fail(method="DELETE", status=503, times=1)
    assert await runner.stop(execution_id, "Killed on request of Ada.") is True
    assert await here.names() == []
    stored = await here.executions.get(execution_id)
    assert (stored.state, stored.driver_reports) == ("SUBMISSION_FAILED", False)
    assert stored.stop_reason == "Killed on request of Ada."


async def test_what_its_time_to_live_has_removed_is_not_told_as_deleted(here: Cluster) -> None:
    """apache/kyuubi 7033: it ended, and was gone before anybody looked."""
    before = here.runner()
    execution = await here.store()
    execution.manifests[0]["spec"]["timeToLiveSeconds"] = 1
    await here.executions._applications.update_one(
        {"_id": execution.id}, {"$set": {"manifests": execution.manifests}}
    )
    await before.start(execution.manifests[0], execution.id)
    name = execution.manifests[0]["metadata"]["name"]
    await here.operator.run(name)
    await here.until(execution.id, "RUNNING")
    await send(here, application_start(execution.id), *(job_end(execution.id, number) for number in (0, 1)))
    succeeded = {"job_result": "JobSucceeded"}
    await here.executions._jobs.update_many({}, {"$set": succeeded})
    await before.aclose()
    await here.delete(name)  # as the operator does it
    await asyncio.sleep(1.1)
    here.runner()
    gone = await here.until(execution.id, "FAILED")
    assert "most likely because it had ended, and time_to_live_seconds (1) passed" in gone.state_reason
    assert "How it ended is not known. All jobs that it reported have succeeded (2)." in gone.state_reason
    assert gone.outcome_unknown
    assert gone.end_time_inferred
    assert await here.executions.finished_runs("spark", "KMeans", 10) == []
    [summary] = summarize_runs([gone], {}, {})
    assert summary.failed == 0


@pytest.mark.parametrize(
    ("spec", "state", "said"),
    [
        ({}, "RUNNING", "gone, deleted while the service did not watch, by somebody"),
        (
            {"timeToLiveSeconds": 3600},
            "RUNNING",
            "gone, deleted while the service did not watch, by somebody",
        ),
        ({"timeToLiveSeconds": 30}, "RUNNING", "time_to_live_seconds (30)"),
        ({}, "UNKNOWN", "may have been evicted"),
    ],
)
def test_the_likeliest_cause_of_absence(spec: dict[str, int], state: str, said: str) -> None:
    gone = execution().model_copy(
        update={"state": ApplicationState(state), "manifests": [{"spec": spec}], "created_at": at(0)}
    )
    assert said in why_gone(gone, [], at(60))
    assert "How it ended is not known." in why_gone(gone, [], at(60))


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_list_is_the_truth_whatever_its_version(here: Cluster, restarts: bool) -> None:
    """kubernetes/kubernetes 107457: etcd was restored, and versions begin below what is stored."""
    runner = here.runner()
    execution = await here.store(schedule_name="nightly", held_name="schedule/nightly")
    await runner.start(execution.manifests[0], execution.id)
    name = execution.manifests[0]["metadata"]["name"]
    here.api._version = 5000
    await here.operator.run(name)
    running = await here.until(execution.id, "RUNNING")
    assert (running.resource_version or 0) > 5000
    if restarts:
        await runner.aclose()
    here.api.restore(1200)
    if not restarts:  # it goes on, below what was stored
        await until(lambda: here.api.requests[-1].startswith("WATCH"))
        while (await here.executions.get(execution.id)).resource_version is not None:
            await asyncio.sleep(0.02)
    await here.operator.end(name)
    if restarts:
        here.runner()
    ended = await here.until(execution.id, "COMPLETED")
    assert (ended.resource_version or 0) < 5000
    assert await here.executions.find_named("schedule/nightly") is None
    assert await here.executions.active_of_schedule("nightly") == []


async def test_what_another_service_has_stored_since_a_list_stays(here: Cluster) -> None:
    runner = here.runner(watches=False)
    execution_id, name = await here.start(runner)
    before = await here.executions.get(execution_id)
    listed = await here.operator.report(name, "SUBMITTED")
    await here.executions.record_state(execution_id, ApplicationState.RUNNING, version=10_000)
    await runner._watcher._forget_later_version(before, listed)
    assert (await here.executions.get(execution_id)).resource_version == 10_000


@pytest.mark.parametrize("ends", ["by itself", "on request", "by somebody", "after a list"])
async def test_what_only_left_the_selector_is_not_deleted(here: Cluster, ends: str) -> None:
    """Helm has made it its own."""
    runner = here.runner(watching={"back_off": OFTEN, "look_seconds": 0.05})
    execution_id, name = await here.start(runner)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    await here.operator.label(name, **{"app.kubernetes.io/managed-by": "Helm"})
    await until(lambda: execution_id in runner._watcher._unlisted)
    assert (await here.executions.get(execution_id)).state == "RUNNING"
    if ends == "on request":
        assert await runner.stop(execution_id)
        assert await here.applications.find(name, here.namespace) is None
        assert (await here.executions.get(execution_id)).state == "KILLED"
    elif ends == "by somebody":
        await here.delete(name)
        assert (await here.until(execution_id, "FAILED")).outcome_unknown
    else:
        if ends == "after a list":
            here.api.break_watches()
        await here.operator.end(name)
        await here.until(execution_id, "COMPLETED")
    await until(lambda: execution_id not in runner._watcher._unlisted)


async def test_watches_that_are_cut_while_they_are_quiet_do_not_make_it_blind(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy cuts what is idle for 35 s; with pauses that double from 3 s on that would take minutes."""
    monkeypatch.setattr(watcher, "_SHORT_WATCH_SECONDS", 0.05)
    execution_id, name = await here.start(here.runner(watching={"back_off": BackOff(3.0, 3600.0)}))
    await here.operator.submit(name)
    await here.until(execution_id, "SUBMITTED")
    lists = [request for request in here.api.requests if request.startswith("GET")]
    for cut in range(7):
        await until(lambda so_far=cut: watches(here) == so_far + 1)  # type: ignore[misc]
        await asyncio.sleep(0.2)
        if cut == 6:  # a change that nobody is told of
            here.api.fail(method="WATCH", delay_seconds=0.2)
        here.api.cut_watches()
    await here.operator.report(name, "RUNNING")
    await here.until(execution_id, "RUNNING")
    assert watches(here) == 8
    assert [request for request in here.api.requests if request.startswith("GET")] == lists


def watches(here: Cluster) -> int:
    return sum(request.startswith("WATCH") for request in here.api.requests)


def test_a_connection_that_is_quiet_for_long_is_probed() -> None:
    options: list[int] = []

    class Noting:
        def setsockopt(self, level: int, name: int, value: int) -> None:
            options.append(name)

    class Transport:
        def get_extra_info(self, name: str) -> Noting:
            return Noting()

    connection = SimpleNamespace(transport=Transport())
    keep_alive(SimpleNamespace(connection=connection))  # type: ignore[arg-type]
    assert socket.SO_KEEPALIVE in options
    keep_alive(SimpleNamespace(connection=None))  # type: ignore[arg-type]


async def test_what_a_cluster_cannot_hold_is_refused_with_its_size(here: Cluster) -> None:
    runner = here.runner(watches=False)
    manifest = manifest_of("1", arguments=["x" * (2 << 20)])
    with pytest.raises(InvalidRequest, match=r"The manifest has 2\.0 MiB"):
        await runner.check(manifest)
    verdict = await runner.dry_run(manifest)
    assert (verdict["accepted"], verdict["status"]) == (False, 422)
    with pytest.raises(InvalidRequest, match=r"2\.0 MiB"):
        await runner.start(manifest, "1")
    assert here.api.requests == [], "nothing of that was sent"


async def test_what_etcd_finds_too_large_is_refused_once(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster whose etcd takes less than ours would be told; by a dry run it is not."""
    monkeypatch.setattr(resources, "MOST_MANIFEST_BYTES", 8 << 20)
    runner = here.runner(watches=False)
    manifest = manifest_of("1", arguments=["x" * (2 << 20)])
    await runner.check(manifest)
    with pytest.raises(InvalidRequest, match="etcdserver: request is too large"):
        await runner.start(manifest, "1")
    assert [request.split()[0] for request in here.api.requests] == ["POST", "POST"]
    assert isinstance(error_of(413, "", None, Access("create", "x", "y")), KubernetesRefused)


async def test_an_outcome_that_stays_unknown_is_not_insisted_on_for_ever(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_MOST_UNKNOWN", 3)
    monkeypatch.setattr(runner_module, "_BACK_OFF", OFTEN)
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.fail(method="POST", status=500, times=100)
    answer = await runner.start(execution.manifests[0], execution.id)
    assert answer["status"]["applicationState"]["state"] == "NEW"
    failed = await here.until(execution.id, "SUBMISSION_FAILED")
    assert "never said whether it did" in failed.state_reason
    assert "as the test wants it" in failed.state_reason


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("trying and failing to pull image", "trying and failing to pull image."),
        ("ContainerCreating", "a Secret, ConfigMap or volume that it mounts may be missing"),
    ],
)
async def test_why_a_driver_cannot_start_is_said(here: Cluster, why: str, said: str) -> None:
    runner = here.runner(watching={"back_off": OFTEN, "look_seconds": 0.05})
    execution_id, name = await here.start(runner)
    pod = (here.namespace, f"{name}-driver")
    here.api.waiting_pods[pod] = why
    await here.operator.submit(name)
    while "has not started" not in (await here.executions.get(execution_id)).state_reason:
        await asyncio.sleep(0.02)
    await here.operator.annotate(name)  # a change that says nothing of that
    stored = await here.executions.get(execution_id)
    assert (stored.state, said in stored.state_reason) == ("SUBMITTED", True)
    with pytest.raises(NotFound, match="Its driver has not started: " + why):
        await runner.read_log(execution_id, 10)
    assert await runner.read_lines(execution_id, 0, ended=False) is None
    del here.api.waiting_pods[pod]
    await here.operator.run(name)
    assert (await here.until(execution_id, "RUNNING")).state_reason == ""
    assert await runner.read_log(execution_id, 10) == "awake\n"


async def test_drivers_of_which_nothing_can_be_said_keep_no_others(here: Cluster) -> None:
    """Their node does not answer, say; they are older, and more than are asked about at two looks."""
    runner = here.runner(watching={"back_off": OFTEN, "look_seconds": 0.05})
    started = [await here.start(runner) for _ in range(9)]
    *silent, (waits, waiting) = started
    for _, name in silent:
        here.api.fail(method="GET", path=f"{name}-driver/log", status=500, times=1000)
        await here.operator.submit(name)
    here.api.waiting_pods[here.namespace, f"{waiting}-driver"] = "ContainerCreating"
    await here.operator.submit(waiting)
    async with asyncio.timeout(SECONDS):
        while "has not started" not in (await here.executions.get(waits)).state_reason:
            await asyncio.sleep(0.02)


async def test_an_attempt_that_failed_does_not_run_while_the_next_one_waits(here: Cluster) -> None:
    """For as long as the pause, which may be an hour."""
    runner = here.runner()
    execution = await here.store()
    policy = {"type": "OnFailure", "onFailureRetries": 1, "onFailureRetryInterval": 45}
    execution.manifests[0]["spec"]["restartPolicy"] = policy
    await runner.start(execution.manifests[0], execution.id)
    name = execution.manifests[0]["metadata"]["name"]
    await here.operator.run(name)
    await here.until(execution.id, "RUNNING")
    here.operator.write(name, "the first attempt fails")
    said = "driver container failed with ExitCode: 1"
    await here.operator.report(name, "FAILING", said, executionAttempts=1)
    waiting = await here.until(execution.id, "PENDING")
    assert waiting.state_reason.startswith("Attempt 1 has failed, and the spark-operator starts the next one")
    assert "about 45 s later: driver container failed with ExitCode: 1" in waiting.state_reason
    await here.operator.report(name, "PENDING_RERUN")
    here.operator.remove_pod(name)
    await here.operator.run(name)
    await here.until(execution.id, "RUNNING")
    assert await runner.read_log(execution.id, 10) == "awake\n"
    assert await runner.read_log(execution.id, 10, 1) == "awake\nthe first attempt fails\n"
    assert await runner.read_log(execution.id, 10, 2) is None
    await here.operator.report(name, "FAILING", said, executionAttempts=2)
    await here.operator.report(name, "FAILED", said)
    failed = await here.until(execution.id, "FAILED")
    between = failed.state_changes[3]
    assert (between.state, said in between.reason) == ("PENDING", True)


async def test_what_policies_say_to_a_creation_that_they_let_pass_is_kept(here: Cluster) -> None:
    runner = here.runner(watches=False)
    execution = await here.store()
    here.api.warnings = ["Validation failed for ValidatingAdmissionPolicy 'teams': no team is named"]
    created = await runner.start(execution.manifests[0], execution.id)
    assert created["warnings"] == here.api.warnings
    assert created["metadata"]["uid"]
    assert here.api.user_agents == {"enel-service"}
