"""Ends of executions whose time nobody said, or that lie before what was reported."""

from typing import Any

import pytest

from common.executions import ends
from common.executions.documents import ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from tests.support.applied import send
from tests.support.samples import application_start, at, context_end, execution, job_end
from training.history.from_documents import to_run_record

COMPLETED, KILLED = ApplicationState.COMPLETED, ApplicationState.KILLED


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution(max_runtime=40.0)
    await executions.insert(created)
    await send(executions, application_start(created.id))
    return created.id


def ended(run: str, job_id: int, seconds: float) -> dict[str, Any]:
    return job_end(run, job_id, start_seconds=seconds - 3.0)


async def learned_tail(executions: ExecutionRepository, run: str) -> float | None:
    return to_run_record(await executions.get(run), await executions.finished_jobs(run)).runtime_seconds


@pytest.mark.parametrize("job_comes_first", [True, False])
async def test_the_runtime_covers_the_last_reported_job(
    executions: ExecutionRepository, run: str, job_comes_first: bool
) -> None:
    """The platform says 30 s, and a job ended after 60."""
    if job_comes_first:
        await send(executions, ended(run, 0, 60))
    assert await executions.record_state(run, COMPLETED, fields={"end_time": at(30)})
    if not job_comes_first:
        await send(executions, ended(run, 0, 60))
    stored = await executions.get(run)
    assert (stored.end_time, stored.platform_end_time) == (at(60), at(30))
    assert (stored.runtime_seconds, stored.target_met) == (60.0, False)
    assert stored.end_time_inferred is False
    assert await learned_tail(executions, run) is None
    assert [each.id for each in await executions.newest(ExecutionFilter(target_met=False))] == [run]


@pytest.mark.parametrize("job_comes_first", [True, False])
async def test_an_end_without_a_time_is_that_of_the_last_reported_job(
    executions: ExecutionRepository, run: str, job_comes_first: bool
) -> None:
    before = utc_now()
    if job_comes_first:
        await send(executions, ended(run, 0, 30))
    assert await executions.record_state(run, COMPLETED)
    if not job_comes_first:
        assert (await executions.get(run)).end_time is None
        await send(executions, ended(run, 0, 30))
    stored = await executions.get(run)
    assert (stored.end_time, stored.end_time_inferred, stored.platform_end_time) == (at(30), True, None)
    assert stored.end_noticed_at is not None
    assert stored.end_noticed_at >= before
    assert await executions.ended_at(run) == stored.end_noticed_at
    assert await learned_tail(executions, run) is None


async def test_an_end_without_any_report_is_not_known(executions: ExecutionRepository, run: str) -> None:
    """Nor where a driver has reported no job since it started."""
    await send(
        executions, ended(run, 0, 20), application_start(run, "spark-2", start_time=at(30).isoformat())
    )
    assert await executions.record_state(run, COMPLETED)
    stored = await executions.get(run)
    assert (stored.end_time, stored.end_time_inferred) == (None, False)
    assert (stored.runtime_seconds, stored.target_met) == (None, None)
    assert stored.end_noticed_at is not None
    assert [each.id for each in await executions.unmeasured(utc_now(), 10)] == [run]


async def test_the_platforms_time_counts_where_it_is_the_later_one(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, ended(run, 0, 20))
    assert await executions.record_state(run, COMPLETED, fields={"end_time": at(24)})
    stored = await executions.get(run)
    assert (stored.end_time, stored.platform_end_time, stored.end_noticed_at) == (at(24), at(24), None)
    assert await learned_tail(executions, run) == 24.0


async def test_reports_after_a_kill_change_no_state_and_no_end(
    executions: ExecutionRepository, run: str
) -> None:
    """The same one again says nothing new."""
    assert await executions.record_state(run, KILLED, fields={"end_time": at(30)})
    assert (await executions.get(run)).reported_after_end_at is None
    before = utc_now()
    await send(executions, ended(run, 0, 40))
    stored = await executions.get(run)
    assert (stored.state, stored.end_time, stored.last_job_id) == (KILLED, at(30), 0)
    assert stored.reported_after_end_at is not None
    assert stored.reported_after_end_at >= before
    await send(executions, ended(run, 0, 40))
    assert await executions.get(run) == stored
    assert len(await executions.finished_jobs(run)) == 1


async def test_a_start_that_came_late_has_the_end_inferred_anew(
    executions: ExecutionRepository, run: str
) -> None:
    """From the jobs of the driver that it was in the end."""
    await send(executions, ended(run, 0, 20))
    assert await executions.record_state(run, COMPLETED)
    await send(executions, application_start(run, "spark-2", start_time=at(30).isoformat()))
    stored = await executions.get(run)
    assert (stored.application_id, stored.end_time, stored.end_time_inferred) == ("spark-2", None, False)
    await send(executions, job_end(run, 0, "spark-2", start_seconds=40.0, runtime_seconds=10.0))
    stored = await executions.get(run)
    assert (stored.end_time, stored.end_time_inferred, stored.runtime_seconds) == (at(50), True, 50.0)


async def test_a_driver_that_starts_after_the_end_is_not_in_charge(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, ended(run, 0, 20))
    assert await executions.record_state(run, COMPLETED, fields={"end_time": at(24)})
    await send(executions, application_start(run, "spark-2", start_time=at(50).isoformat()))
    stored = await executions.get(run)
    assert (stored.application_id, stored.runtime_seconds, stored.driver_start_count) == ("spark-1", 24.0, 2)
    assert stored.reported_after_end_at is not None


@pytest.mark.parametrize("driver_comes_first", [True, False])
async def test_the_drivers_own_end_counts_before_the_platforms_later_notice(
    executions: ExecutionRepository, run: str, driver_comes_first: bool
) -> None:
    await send(executions, ended(run, 0, 20))
    if driver_comes_first:
        await send(executions, context_end(run, 24))
    assert await executions.record_state(run, COMPLETED, fields={"end_time": at(124)})
    if not driver_comes_first:
        await send(executions, context_end(run, 24), context_end(run, 24))
    stored = await executions.get(run)
    assert (stored.end_time, stored.platform_end_time, stored.reported_end_time) == (at(24), at(124), at(24))
    assert (stored.runtime_seconds, stored.target_met) == (24.0, True)
    assert stored.reported_after_end_at is None  # it says that nothing more comes
    assert await learned_tail(executions, run) == 24.0


@pytest.mark.parametrize("driver_comes_first", [True, False])
async def test_the_drivers_own_end_stands_where_the_platform_says_none(
    executions: ExecutionRepository, run: str, driver_comes_first: bool
) -> None:
    await send(executions, ended(run, 0, 20))
    if driver_comes_first:
        await send(executions, context_end(run, 24))
    assert await executions.record_state(run, COMPLETED)
    if not driver_comes_first:
        await send(executions, context_end(run, 24))
    stored = await executions.get(run)
    assert (stored.end_time, stored.end_time_inferred, stored.runtime_seconds) == (at(24), False, 24.0)


async def test_the_end_of_a_run_that_was_killed_is_the_order(
    executions: ExecutionRepository, run: str
) -> None:
    assert await executions.record_state(run, KILLED, fields={"end_time": at(30)})
    await send(executions, context_end(run, 25))
    assert (await executions.get(run)).end_time == at(30)


async def test_the_end_of_a_driver_before_is_not_that_of_the_application(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, context_end(run, 10, ended_jobs=3, refused_reports=1))
    await send(executions, application_start(run, "spark-2", start_time=at(30).isoformat()))
    await send(executions, context_end(run, 11))
    assert await executions.record_state(run, COMPLETED, fields={"end_time": at(60)})
    stored = await executions.get(run)
    assert (stored.end_time, stored.reported_end_time, stored.ended_jobs) == (at(60), None, None)
    assert stored.refused_reports == 0


async def test_of_thousands_of_changes_the_first_and_the_latest_are_kept(
    executions: ExecutionRepository, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is started again for weeks must not fill its document."""
    monkeypatch.setattr(ends, "MOST_STATE_CHANGES", 5)
    states = (ApplicationState.SUBMITTED, ApplicationState.RUNNING)
    for number in range(12):
        assert await executions.record_state(run, states[number % 2], f"reason {number}")
    stored = await executions.get(run)
    reasons = [change.reason for change in stored.state_changes]
    assert reasons == ["reason 0", "reason 8", "reason 9", "reason 10", "reason 11"]
    assert stored.state_changes_left_out == 7


async def test_of_jobs_that_end_at_once_the_last_one_stays_the_last(
    executions: ExecutionRepository, run: str
) -> None:
    """The same report again changes nothing, and their order does not matter."""
    one = job_end(run, 3, start_seconds=10.0, end_scale_out=2)
    other = job_end(run, 4, start_seconds=10.0, end_scale_out=6)
    await send(executions, one, other)
    before = await executions.get(run)
    assert (before.last_job_id, before.end_scale_out) == (4, 6)
    await send(executions, one)
    after = await executions.get(run)
    assert (after.last_job_id, after.end_scale_out) == (4, 6)
