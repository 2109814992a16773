"""Failed states that a driver's own reports contradict, and what they hold."""

from datetime import timedelta

import pytest

from common.executions.documents import DRIVER_SILENCE, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from tests.support.applied import send
from tests.support.samples import application_start, at, context_end, execution, job_end

FAILED, SUBMISSION_FAILED = ApplicationState.FAILED, ApplicationState.SUBMISSION_FAILED


async def failed(executions: ExecutionRepository, state: ApplicationState, name: str) -> str:
    names = {"name": name, "held_name": name, "schedule_name": name}
    created = execution().model_copy(update=names)
    await executions.insert(created)
    if state is FAILED:
        await send(executions, application_start(created.id))
    assert await executions.record_state(created.id, state, "driver pod", fields={"end_time": at(1)})
    assert await executions.find_named(name) is None
    assert await executions.active_of_schedule(name) == []
    return created.id


@pytest.mark.parametrize("state", [FAILED, SUBMISSION_FAILED])
async def test_a_failed_run_whose_driver_reports_keeps_its_name(
    executions: ExecutionRepository, state: ApplicationState
) -> None:
    run = await failed(executions, state, "nightly")
    if state is SUBMISSION_FAILED:
        await send(executions, application_start(run))
    await send(executions, job_end(run, 0))
    stored = await executions.get(run)
    assert stored.state is state
    assert stored.driver_reports
    assert stored.application_id is not None
    assert stored.start_time is not None
    holder = await executions.find_named("nightly")
    assert holder is not None
    assert holder.id == run
    assert await executions.active_of_schedule("nightly") == [run]
    await executions.record_driver_ended(run, "Killed on request.")
    assert await executions.find_named("nightly") is None
    await send(executions, job_end(run, 1))  # while it is being ended
    assert not (await executions.get(run)).driver_reports
    assert await executions.active_of_schedule("nightly") == []


async def test_a_driver_that_has_long_been_silent_holds_nothing(
    executions: ExecutionRepository, mongo: Client, database: str
) -> None:
    run = await failed(executions, SUBMISSION_FAILED, "nightly")
    await send(executions, application_start(run))
    await executions.release_silent("nightly")
    assert await executions.find_named("nightly") is not None
    long_ago = utc_now() - DRIVER_SILENCE - timedelta(seconds=1)
    await mongo[database]["application_execution"].update_one(
        {"_id": run}, {"$set": {"contradicted_at": long_ago}}
    )
    assert await executions.find_named("nightly") is None
    assert await executions.active_of_schedule("nightly") == []
    await executions.release_silent("nightly")
    await executions.insert(execution().model_copy(update={"held_name": "nightly"}))


async def test_a_driver_that_has_reported_its_end_holds_nothing(executions: ExecutionRepository) -> None:
    run = await failed(executions, SUBMISSION_FAILED, "nightly")
    await send(executions, application_start(run), job_end(run, 0))
    assert (await executions.get(run)).driver_reports
    await send(executions, context_end(run, 600))
    assert not (await executions.get(run)).driver_reports
    assert await executions.find_named("nightly") is None
    assert await executions.active_of_schedule("nightly") == []


async def test_somebody_else_may_have_the_name_by_then(executions: ExecutionRepository) -> None:
    run = await failed(executions, SUBMISSION_FAILED, "nightly")
    other = execution().model_copy(update={"name": "nightly", "held_name": "nightly"})
    await executions.insert(other)
    await send(executions, application_start(run))
    holder = await executions.find_named("nightly")
    assert holder is not None
    assert holder.id == other.id
    assert (await executions.get(run)).driver_reports


async def test_a_report_that_is_only_late_contradicts_nothing(executions: ExecutionRepository) -> None:
    created = execution()
    await executions.insert(created)
    await send(executions, application_start(created.id))
    await executions.record_state(created.id, FAILED, fields={"end_time": at(60)})
    await send(executions, job_end(created.id, 0))
    stored = await executions.get(created.id)
    assert stored.reported_after_end_at is not None
    assert not stored.driver_reports


async def completed(executions: ExecutionRepository, *drivers: str) -> str:
    """Ended after 100 s, by the platform."""
    created = execution().model_copy(update={"name": "nightly", "held_name": "nightly"})
    await executions.insert(created)
    for number, driver in enumerate(drivers):
        await send(executions, application_start(created.id, driver, start_time=at(10 * number).isoformat()))
    await executions.record_state(created.id, ApplicationState.COMPLETED, fields={"end_time": at(100)})
    return created.id


async def test_a_run_that_has_completed_while_another_driver_goes_on(executions: ExecutionRepository) -> None:
    """Two were started: the one that is in charge has ended well, and said so."""
    run = await completed(executions, "spark-1", "spark-2")
    await send(executions, context_end(run, 99, "spark-2"))
    await send(executions, job_end(run, 0, "spark-1", start_seconds=150.0))
    stored = await executions.get(run)
    assert (stored.state, stored.driver_reports) == (ApplicationState.COMPLETED, True)
    assert stored.contradicted_by == "spark-1"
    holder = await executions.find_named("nightly")
    assert holder is not None
    assert holder.id == run
    await send(executions, context_end(run, 120, "spark-2"))  # another one's end is not its own
    assert (await executions.get(run)).driver_reports
    await send(executions, context_end(run, 160, "spark-1"))
    assert not (await executions.get(run)).driver_reports
    assert await executions.find_named("nightly") is None
    await send(executions, job_end(run, 1, "spark-1", start_seconds=155.0))  # sent before, and came later
    assert not (await executions.get(run)).driver_reports


async def test_a_last_job_that_ended_late_contradicts_no_completion(executions: ExecutionRepository) -> None:
    run = await completed(executions, "spark-1")
    await send(executions, job_end(run, 0, start_seconds=95.0, runtime_seconds=30.0))
    await send(executions, job_end(run, 1, start_seconds=104.0, runtime_seconds=1.0))  # by another clock
    stored = await executions.get(run)
    assert stored.reported_after_end_at is not None
    assert not stored.driver_reports
    assert await executions.find_named("nightly") is None


async def test_what_was_killed_is_not_contradicted_by_what_it_does_until_then(
    executions: ExecutionRepository,
) -> None:
    created = execution()
    await executions.insert(created)
    await send(executions, application_start(created.id))
    await executions.record_state(created.id, ApplicationState.KILLED, fields={"end_time": at(30)})
    await send(executions, job_end(created.id, 0, start_seconds=50.0))
    stored = await executions.get(created.id)
    assert (stored.state, stored.driver_reports) == (ApplicationState.KILLED, False)
    assert stored.reported_after_end_at is not None


async def test_reports_at_the_end_of_all_times_are_stored(executions: ExecutionRepository) -> None:
    run = await failed(executions, FAILED, "far")
    last = "9999-12-31T23:59:59.999Z"
    await send(executions, job_end(run, 0, start_time=None, end_time=last, stages={}))
    await send(executions, job_end(run, 1, start_time=last, end_time=last, stages={}))
    assert len(await executions.finished_jobs(run)) == 2
