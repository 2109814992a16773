"""What is recorded of SparkApplications, whatever happens to them, the watch or the service."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from benchmarks.support.kubernetes_api import now
from common.errors import ServiceError
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.wire.events import UpdateInformation
from submission.kubernetes.states import observe
from tests.support.on_kubernetes import OFTEN, Cluster, cluster, until
from tests.support.samples import application_start, job_end


@pytest_asyncio.fixture
async def here(mongo: Client, database: str, executions: ExecutionRepository) -> AsyncIterator[Cluster]:
    async with cluster(mongo, database, executions) as here:
        yield here


def resource(state: str, error: str = "", **status: object) -> dict[str, object]:
    return {"status": {"applicationState": {"state": state, "errorMessage": error}, **status}}


@pytest.mark.parametrize(
    ("operators", "ours"),
    [
        ("", "PENDING"),
        ("NEW", "PENDING"),
        ("SUBMITTED", "SUBMITTED"),
        ("RUNNING", "RUNNING"),
        ("COMPLETED", "COMPLETED"),
        ("FAILED", "FAILED"),
        ("SUBMISSION_FAILED", "SUBMISSION_FAILED"),
        ("PENDING_RERUN", "PENDING"),
        ("INVALIDATING", "PENDING"),
        ("SUCCEEDING", None),
        ("FAILING", None),
        ("SUSPENDING", None),
        ("SUSPENDED", "SUSPENDED"),
        ("RESUMING", "PENDING"),
        ("UNKNOWN", "UNKNOWN"),
        ("SOMETHING_NEW", "UNKNOWN"),
    ],
)
def test_every_state_of_the_operator_means_something(operators: str, ours: str | None) -> None:
    assert observe(resource(operators)).state == ours


def test_a_failed_submission_is_final_unless_the_operator_tries_again() -> None:
    failed = resource("SUBMISSION_FAILED", "no such image", submissionAttempts=1)
    assert observe(failed).reason == "no such image"
    again = {**failed, "spec": {"restartPolicy": {"type": "OnFailure", "onSubmissionFailureRetries": 1}}}
    assert observe(again).state == "PENDING"
    assert observe(again).reason == "The spark-operator tries again to submit it: no such image"
    last = {**again, **resource("SUBMISSION_FAILED", submissionAttempts=2)}
    assert observe(last).state == "SUBMISSION_FAILED"


def test_the_operators_words_and_times() -> None:
    evicted = resource(
        "FAILED",
        "driver pod failed with Reason: Evicted",
        terminationTime="2026-08-01T10:00:00Z",
        sparkApplicationId="spark-1",
        driverInfo={"podName": "kmeans-driver"},
    )
    observation = observe(evicted)
    assert observation.reason == "driver pod failed with Reason: Evicted"
    assert observation.at == datetime(2026, 8, 1, 10, tzinfo=UTC)
    assert observation.fields == {"spark_application_id": "spark-1", "driver_pod": "kmeans-driver"}
    assert observe({"status": {"terminationTime": 7, "applicationState": None}}).state == "PENDING"
    assert observe(resource("COMPLETED", terminationTime="0001-01-01T00:00:00Z")).ended_at is None
    assert observe(resource("FAILED", "half of a character: \ud83d")).reason == "half of a character: ?"


async def test_a_failure_with_the_operators_reason_and_time(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.run(name)
    await here.operator.end(name, "FAILED", "driver pod failed with Reason: Evicted")
    failed = await here.until(execution_id, "FAILED")
    assert failed.state_reason == "driver pod failed with Reason: Evicted"
    assert await here.states(execution_id) == ["PENDING", "SUBMITTED", "RUNNING", "FAILED"]
    times = [change.at for change in failed.state_changes]
    assert times == sorted(times)
    stored = await here.applications.find(name, here.namespace)
    assert stored is not None
    assert failed.end_time == datetime.fromisoformat(stored["status"]["terminationTime"])
    assert failed.spark_application_id == f"spark-{name}"


@pytest.mark.parametrize("watches", [True, False])
async def test_an_early_kill_keeps_what_the_operator_had_said(here: Cluster, watches: bool) -> None:
    runner = here.runner(watches=watches)
    execution_id, name = await here.start(runner)
    await here.operator.report(name, "SUBMITTED", sparkApplicationId="spark-early")
    await runner.stop(execution_id)
    killed = await here.until(execution_id, "KILLED")
    assert (killed.spark_application_id, killed.driver_pod) == ("spark-early", f"{name}-driver")


async def test_what_the_operator_adds_to_a_state_is_taken(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.submit(name)
    await here.until(execution_id, "SUBMITTED")
    await here.operator.report(name, "SUBMITTED", sparkApplicationId="spark-late")
    await here.operator.report(name, "RUNNING")
    assert (await here.until(execution_id, "RUNNING")).spark_application_id == "spark-late"
    await here.operator.report(name, "RUNNING", sparkApplicationId="spark-later")
    await here.delete(name)
    assert (await here.until(execution_id, "KILLED")).spark_application_id == "spark-later"


@pytest.mark.parametrize("with_jobs", [True, False])
@pytest.mark.parametrize(
    ("state", "said"), [("COMPLETED", {}), ("FAILED", {"terminationTime": "2026-08-01T10:00:00Z"})]
)
async def test_an_end_whose_time_the_operator_does_not_know(
    here: Cluster, with_jobs: bool, state: str, said: dict[str, str]
) -> None:
    """Seen long after: of a pod that it has not found, its time is when it looked."""
    execution_id, name = await here.start(here.runner())
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    reports = [application_start(execution_id), *(job_end(execution_id, 0) for _ in range(with_jobs))]
    for report in reports:
        update = UpdateInformation.model_validate(report)
        await here.executions.apply_event(execution_id, update.event())
    reason = "driver pod not found" if state == "FAILED" else ""
    await here.operator.report(name, state, reason, **said)
    ended = await here.until(execution_id, state)
    assert ended.end_time_inferred is with_jobs
    assert ended.end_time == ended.last_job_end_time
    assert (ended.runtime_seconds is not None) is with_jobs
    assert ended.platform_end_time is None
    assert ended.end_noticed_at is not None


async def test_the_watch_goes_on_after_410_and_after_errors(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.submit(name)
    await here.until(execution_id, "SUBMITTED")
    here.api.break_watches()
    here.api.fail(method="WATCH", status=500, times=2)
    here.api.fail(method="WATCH", drop="before")
    here.api.fail(path="sparkapplications", method="GET", status=503)
    lists = sum(request.startswith("GET") for request in here.api.requests)
    await here.operator.report(name, "RUNNING")
    await here.until(execution_id, "RUNNING")
    assert sum(request.startswith("GET") for request in here.api.requests) > lists
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")
    assert await here.states(execution_id) == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]


async def test_lists_become_rare_where_every_watch_is_refused(here: Cluster) -> None:
    """As by a role that may list, and not watch."""
    [follow, *_] = here.runner(watches=False).loops()
    assert follow.back_off is not None
    here.api.fail(method="WATCH", status=403, times=3)
    for _ in range(3):
        with pytest.raises(ServiceError):
            await follow.work()


async def test_an_execution_that_cannot_be_read_does_not_keep_others_from_being_followed(
    here: Cluster, mongo: Client, database: str
) -> None:
    bad, bad_name = await here.start(here.runner())
    execution_id, name = await here.start(here.runner())
    await here.operator.submit(name)
    await here.until(execution_id, "SUBMITTED")
    stored = mongo[database]["application_execution"]
    await stored.update_one({"_id": bad}, {"$set": {"attempt_id": "first"}})
    await here.operator.run(bad_name)  # seen by a watch
    await here.operator.report(name, "RUNNING")
    await here.until(execution_id, "RUNNING")
    here.api.break_watches()  # and by a list
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")


async def test_watches_that_end_regularly_are_taken_up_where_they_ended(here: Cluster) -> None:
    runner = here.runner(watching={"watch_seconds": 1, "back_off": OFTEN})
    execution_id, name = await here.start(runner)
    await until(lambda: sum(request.startswith("WATCH") for request in here.api.requests) >= 3)
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    collection = "/apis/sparkoperator.k8s.io/v1beta2/namespaces/default/sparkapplications"
    assert here.api.requests.count(f"GET {collection}") == 1


async def test_a_resource_that_was_deleted_by_hand(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    await here.delete(name)
    killed = await here.until(execution_id, "KILLED")
    assert "deleted in Kubernetes, not through this service" in killed.state_reason
    assert killed.end_noticed_at is not None
    assert killed.end_time is None, "nobody says when, and it reported nothing"
    if here.double is not None:
        assert await here.logs.find(execution_id) == "awake\n"


async def test_not_picked_up_and_picked_up_after_all(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner(pickup_seconds=0.2))
    waiting = await here.until(execution_id, "NOT_PICKED_UP")
    assert "has not submitted it within 0.2 s" in waiting.state_reason
    assert not waiting.state.is_final
    await here.operator.annotate(name)  # not by the operator
    if here.double is not None:
        here.double.break_watches()
        collection, requests = "/sparkapplications", here.double.requests
        lists = sum(request.startswith("GET") and request.endswith(collection) for request in requests)
        await until(
            lambda: (
                sum(r.startswith("WATCH") for r in requests[-3:]) > 0
                and sum(r.startswith("GET") and r.endswith(collection) for r in requests) > lists
            )
        )
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    states = await here.states(execution_id)
    assert states == ["PENDING", "NOT_PICKED_UP", "SUBMITTED", "RUNNING"]


async def test_picked_up_and_submitted_again(here: Cluster) -> None:
    """Which is PENDING as before, but no longer for want of an operator."""
    runner = here.runner(pickup_seconds=0.5)
    execution = await here.store()
    policy = {"type": "OnFailure", "onSubmissionFailureRetries": 3, "onSubmissionFailureRetryInterval": 60}
    execution.manifests[0]["spec"]["restartPolicy"] = policy
    await runner.start(execution.manifests[0], execution.id)
    name = execution.manifests[0]["metadata"]["name"]
    await here.operator.report(name, "SUBMISSION_FAILED", "no such image", submissionAttempts=1)
    while "no such image" not in (await here.executions.get(execution.id)).state_reason:
        await asyncio.sleep(0.05)
    others, _ = await here.start(runner)
    await here.until(others, "NOT_PICKED_UP")  # waits since later
    states = await here.states(execution.id)
    assert states[-1] == "PENDING"


async def test_a_restart_in_the_middle(here: Cluster) -> None:
    """While nobody watched, one ended, one went on, one was deleted, and one was never created."""
    before = here.runner()
    ended, went_on, deleted = [await here.start(before) for _ in range(3)]
    for execution_id, name in (ended, went_on, deleted):
        await here.operator.submit(name)
        await here.until(execution_id, "SUBMITTED")
    never = await here.store()
    created = await here.store()
    await here.applications.create(
        created.manifests[0], here.namespace
    )  # its service died before storing that
    await before.aclose()
    await here.operator.end(ended[1])
    await here.operator.report(went_on[1], "RUNNING")
    await here.delete(deleted[1])
    if here.double is not None:
        here.double.compact()

    after = here.runner()
    await after.resume(await here.executions.unfinished("kubernetes"))
    assert (await here.until(ended[0], "COMPLETED")).end_time is not None
    await here.until(went_on[0], "RUNNING")
    gone = await here.until(deleted[0], "FAILED")
    assert "is gone" in gone.state_reason
    await here.until(never.id, "PENDING")
    await here.until(created.id, "PENDING")
    assert len(await here.names()) == 4
    if here.double is not None:
        assert await here.logs.find(ended[0]) == "done\n"


async def test_an_abandoned_submission_is_taken_up_without_a_restart(here: Cluster) -> None:
    abandoned = await here.store(created_at=utc_now() - timedelta(minutes=5))
    under_way = await here.store()
    here.runner()
    await here.until(abandoned.id, "PENDING")
    assert (await here.executions.get(under_way.id)).state == "NEW", "another service may be at it"
    assert await here.names() == [abandoned.manifests[0]["metadata"]["name"]]


async def test_a_kill_that_was_cut_short_is_finished(here: Cluster) -> None:
    """The service died after the wish was stored; and another one before the resource was created."""
    running, name = await here.start(here.runner(watches=False))
    await here.operator.run(name)
    await here.executions.note(running, {"stop_reason": "Killed on request."})
    never = await here.store(stop_reason="Killed on request.")
    here.runner()
    await here.until(running, "KILLED")
    await here.until(never.id, "KILLED")
    assert await here.names() == []


async def test_what_appears_after_it_was_killed_is_deleted(here: Cluster) -> None:
    """Its creation was under way when the service that killed it died; once before, once while watching."""
    before, later = await here.store(), await here.store()
    for execution in (before, later):
        await here.executions.note(execution.id, {"stop_reason": "Killed on request."})
        await here.executions.record_state(execution.id, ApplicationState.KILLED)
    await here.applications.create(before.manifests[0], here.namespace)
    here.runner()
    while await here.names():
        await asyncio.sleep(0.02)
    await here.applications.create(later.manifests[0], here.namespace)
    while await here.names():
        await asyncio.sleep(0.02)


async def test_two_services_watch_and_one_lags_behind(here: Cluster) -> None:
    """An older version of the resource changes nothing."""
    first, second = here.runner(), here.runner()
    execution_id, name = await here.start(first)
    old = await here.operator.report(name, "SUBMITTED", lastSubmissionAttemptTime=now())
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    stored = await here.executions.get(execution_id)
    await second._watcher._record(stored, old, observe(old))
    assert (await here.executions.get(execution_id)).state == "RUNNING"
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")
    assert await here.states(execution_id) == ["PENDING", "SUBMITTED", "RUNNING", "COMPLETED"]


async def test_resources_of_others_are_left_alone(here: Cluster) -> None:
    """The same labels, but an execution that is in another service's database."""
    here.runner()
    stranger = await here.store()
    await here.executions._applications.delete_one({"_id": stranger.id})
    assert here.api
    await here.applications.create(stranger.manifests[0], here.namespace)
    execution_id, name = await here.start(here.runners[0])
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    here.api.break_watches()
    await here.operator.end(name)
    await here.until(execution_id, "COMPLETED")
    assert len(here.api.names()) == 2


async def test_a_suspended_application(here: Cluster) -> None:
    execution_id, name = await here.start(here.runner())
    await here.operator.report(name, "SUSPENDED")
    assert not (await here.until(execution_id, "SUSPENDED")).state.is_final
    await here.operator.report(name, "RESUMING")
    await here.operator.run(name)
    await here.until(execution_id, "RUNNING")
    await here.operator.report(name, "UNKNOWN")
    assert "lost sight" in (await here.until(execution_id, "UNKNOWN")).state_reason
    await here.operator.report(name, "RUNNING")
    await here.until(execution_id, "RUNNING")


async def test_what_had_ended_before_its_creation_was_stored_has_ended(here: Cluster) -> None:
    """Its service died after it was created; the next one finds it, and that it is over."""
    execution = await here.store()
    name = execution.manifests[0]["metadata"]["name"]
    await here.applications.create(execution.manifests[0], here.namespace)
    await here.operator.run(name)
    await here.operator.end(name)
    before = here.runner(watches=False)
    await before.resume(await here.executions.unfinished("kubernetes"))
    await here.until(execution.id, "PENDING")
    here.runner()
    assert (await here.until(execution.id, "COMPLETED")).end_time is not None


async def test_what_waits_for_its_environment_is_not_created_by_the_watch(here: Cluster) -> None:
    long_ago = utc_now() - timedelta(minutes=5)
    waiting = await here.store(created_at=long_ago, environment_id="e" * 64)
    abandoned = await here.store(created_at=long_ago)
    here.runner()
    await here.until(abandoned.id, "PENDING")
    assert (await here.executions.get(waiting.id)).state == "NEW"
    assert await here.names() == [abandoned.manifests[0]["metadata"]["name"]]
