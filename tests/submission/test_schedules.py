"""Recurring submissions in a real MongoDB: every due time leads to one application."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.errors import Conflict, InvalidRequest, Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from submission.idempotency import NameInUse
from submission.schedule_documents import ScheduleExists, ScheduleNotFound, ScheduleSpec, SubmissionSchedule
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from tests.support.doubles import NotingRunner, OpenSubmissions
from tests.support.samples import specs

NAME = "nightly"


def spec(**fields: Any) -> ScheduleSpec:
    """Due once in four years, so that no due time but those of a test passes while it runs."""
    body = specs(max_runtime=90.0, **fields.pop("global_specs", {}))
    return ScheduleSpec.model_validate({"cron": "0 3 29 2 *", "submission": body, **fields})


@pytest.fixture
def schedules(
    mongo: Client, database: str, executions: ExecutionRepository, submissions: SubmissionService
) -> SubmissionSchedules:
    return SubmissionSchedules(mongo, database, executions, submissions)


@pytest.fixture
def make_due(mongo: Client, database: str) -> Any:
    async def make(seconds: float = 5.0, **fields: Any) -> datetime:
        due_at = (utc_now() - timedelta(seconds=seconds)).replace(microsecond=0)
        changes = {"next_fire_at": due_at, **fields}
        await mongo[database]["submission_schedule"].update_one({"_id": NAME}, {"$set": changes})
        return due_at

    return make


@pytest.fixture
def retry_now(mongo: Client, database: str) -> Any:
    async def retry() -> None:
        past = {"$set": {"firing.retry_at": utc_now() - timedelta(seconds=1)}}
        await mongo[database]["submission_schedule"].update_one({"_id": NAME, "firing": {"$ne": None}}, past)

    return retry


async def started(executions: ExecutionRepository) -> Sequence[ApplicationExecution]:
    return await executions.newest(limit=200)


async def test_what_is_due_is_submitted_with_its_own_target(
    schedules: SubmissionSchedules, executions: ExecutionRepository, make_due: Any
) -> None:
    schedule, is_new = await schedules.create(NAME, spec(time_zone="Europe/Berlin"), "ada")
    assert is_new
    assert schedule.next_fire_at > utc_now()
    await schedules.tick()
    assert not await started(executions)
    due_at = await make_due()
    await schedules.tick()
    await schedules.tick()
    [execution] = await started(executions)
    assert (execution.schedule_name, execution.scheduled_for) == (NAME, due_at)
    assert execution.submitted_by == "ada"
    at_once = await schedules.run_now(NAME, by="bob")
    assert at_once.execution.submitted_by == "bob"
    assert execution.global_specs.max_runtime == 90.0
    schedule = await schedules.get(NAME)
    assert (schedule.fired, schedule.last_application_execution_id) == (1, execution.id)
    assert (schedule.last_due_at, schedule.firing, schedule.last_error) == (due_at, None, None)
    assert schedule.last_fired_by
    assert schedule.next_fire_at == schedule.trigger().next_after(schedule.last_fired_at or due_at)


async def test_each_due_time_leads_to_one_application_however_many_services_look(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    open_submissions: OpenSubmissions,
    make_due: Any,
) -> None:
    services = [
        SubmissionSchedules(
            mongo, database, executions, open_submissions(NotingRunner(executions.record_state))
        )
        for _ in range(4)
    ]
    await services[0].create(NAME, spec())
    for turn in range(1, 4):
        await make_due(seconds=60.0 * turn)
        await asyncio.gather(*(service.tick() for service in services for _ in range(2)))
        assert len(await started(executions)) == turn
    assert (await services[0].get(NAME)).fired == 3


@pytest.mark.parametrize("is_stored", [True, False], ids=["after storing", "before storing"])
async def test_a_service_that_dies_while_it_fires(
    schedules: SubmissionSchedules,
    executions: ExecutionRepository,
    submissions: SubmissionService,
    make_due: Any,
    retry_now: Any,
    monkeypatch: pytest.MonkeyPatch,
    is_stored: bool,
) -> None:
    await schedules.create(NAME, spec())
    await make_due()
    submit = submissions.submit

    async def die(*arguments: Any) -> None:
        if is_stored:
            await submit(*arguments)
        raise asyncio.CancelledError

    monkeypatch.setattr(submissions, "submit", die)
    with pytest.raises(asyncio.CancelledError):
        await schedules.tick()
    monkeypatch.setattr(submissions, "submit", submit)
    await schedules.tick()
    assert len(await started(executions)) == is_stored, "it may still be at it"
    await retry_now()
    await schedules.tick()
    [execution] = await started(executions)
    schedule = await schedules.get(NAME)
    assert (schedule.last_application_execution_id, schedule.fired) == (execution.id, 1)
    assert schedule.firing is None


async def test_of_what_was_missed_the_latest_is_made_up_for(
    schedules: SubmissionSchedules,
    executions: ExecutionRepository,
    make_due: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = utc_now()
    between = now.replace(minute=now.minute // 10 * 10 + 5, second=0, microsecond=0)
    monkeypatch.setattr("submission.schedules.utc_now", lambda: between)
    await schedules.create(NAME, spec(cron="*/10 * * * *"))
    first = await make_due(seconds=86_400.0 * 3)
    await schedules.tick()
    await schedules.tick()
    [execution] = await started(executions)
    assert execution.scheduled_for is not None
    assert execution.scheduled_for > first
    assert between - execution.scheduled_for == timedelta(minutes=5)


async def test_nothing_is_made_up_for_after_the_deadline(
    schedules: SubmissionSchedules, executions: ExecutionRepository, make_due: Any
) -> None:
    await schedules.create(NAME, spec(starting_deadline_seconds=60.0))
    await make_due(seconds=100.0)
    await schedules.tick()
    assert not await started(executions)
    assert " late" in (await schedules.get(NAME)).last_outcome
    await make_due(seconds=30.0)
    await schedules.tick()
    assert len(await started(executions)) == 1


async def test_concurrency_is_allowed_forbidden_or_ended(
    schedules: SubmissionSchedules, executions: ExecutionRepository, runner: NotingRunner, make_due: Any
) -> None:
    await schedules.create(NAME, spec())
    for seconds in (50.0, 40.0):
        await make_due(seconds)
        await schedules.tick()
    assert [execution.state.value for execution in await started(executions)] == ["PENDING", "PENDING"]

    await schedules.replace(NAME, spec(concurrency_policy="forbid"))
    await make_due(30.0)
    await schedules.tick()
    assert len(await started(executions)) == 2
    assert "skipped" in (await schedules.get(NAME)).last_outcome
    with pytest.raises(Conflict, match="has not ended"):
        await schedules.run_now(NAME)

    await schedules.replace(NAME, spec(concurrency_policy="replace"))
    await make_due(20.0)
    await schedules.tick()
    states = [execution.state.value for execution in await started(executions)]
    assert states == ["PENDING", "KILLED", "KILLED"]
    assert NAME in runner.stopped[0][1]


async def test_concurrency_is_forbidden_also_between_services_that_look_at_once(
    mongo: Client, database: str, executions: ExecutionRepository, open_submissions: OpenSubmissions
) -> None:
    services = [
        SubmissionSchedules(
            mongo, database, executions, open_submissions(NotingRunner(executions.record_state))
        )
        for _ in range(6)
    ]
    await services[0].create(NAME, spec(concurrency_policy="forbid"))
    answers = await asyncio.gather(*(service.run_now(NAME) for service in services), return_exceptions=True)
    assert len(await started(executions)) == 1
    assert sum(isinstance(answer, NameInUse) for answer in answers) == 5


async def test_with_a_deadline_a_forbidden_firing_waits_for_its_turn(
    schedules: SubmissionSchedules, executions: ExecutionRepository, make_due: Any, retry_now: Any
) -> None:
    await schedules.create(NAME, spec(concurrency_policy="forbid", starting_deadline_seconds=600.0))
    first = (await schedules.run_now(NAME)).execution.id
    await make_due()
    await schedules.tick()
    assert len(await started(executions)) == 1
    assert (await schedules.get(NAME)).firing is not None
    await executions.record_state(first, ApplicationState.COMPLETED)
    await retry_now()
    await schedules.tick()
    assert len(await started(executions)) == 2


async def test_failures_are_told_and_tried_again_where_that_may_help(
    schedules: SubmissionSchedules,
    executions: ExecutionRepository,
    runner: NotingRunner,
    make_due: Any,
    retry_now: Any,
) -> None:
    await schedules.create(NAME, spec())
    runner.refusal = Unavailable("The API server is away.")
    await make_due()
    await schedules.tick()
    schedule = await schedules.get(NAME)
    assert (schedule.last_error, schedule.fired) == ("The API server is away.", 0)
    assert schedule.firing is not None
    runner.refusal = InvalidRequest("The image is not allowed.")
    await retry_now()
    await schedules.tick()
    schedule = await schedules.get(NAME)
    assert (schedule.last_error, schedule.firing) == ("The image is not allowed.", None)
    runner.refusal = None
    await make_due(seconds=3.0)
    await schedules.tick()
    assert (await schedules.get(NAME)).last_error is None
    assert len(await started(executions)) == 1


async def test_a_firing_that_cannot_succeed_is_given_up(
    schedules: SubmissionSchedules, executions: ExecutionRepository, runner: NotingRunner, make_due: Any
) -> None:
    await schedules.create(NAME, spec())
    firing = {
        "due_at": utc_now() - timedelta(hours=2),
        "attempt": 9,
        "retry_at": utc_now() - timedelta(seconds=1),
        "failing_since": utc_now() - timedelta(minutes=61),
    }
    await make_due(seconds=-3600.0, firing=firing, last_error="The API server is away.")
    await schedules.tick()
    schedule = await schedules.get(NAME)
    assert "given up: The API server is away." in schedule.last_outcome
    assert schedule.firing is None
    assert not await started(executions)


async def test_pause_resume_and_run_now(
    schedules: SubmissionSchedules, executions: ExecutionRepository, make_due: Any
) -> None:
    await schedules.create(NAME, spec())
    assert (await schedules.pause(NAME)).paused
    await make_due()
    await schedules.tick()
    assert not await started(executions)
    ran = await schedules.run_now(NAME, "once")
    again = await schedules.run_now(NAME, "once")
    assert (again.replayed, again.execution.id) == (True, ran.execution.id)
    assert (ran.execution.schedule_name, ran.execution.scheduled_for) == (NAME, None)
    resumed = await schedules.resume(NAME)
    assert not resumed.paused
    assert resumed.next_fire_at > utc_now()
    await schedules.tick()
    assert len(await started(executions)) == 1, "what was due during the pause is not made up for"


async def test_creating_changing_and_deleting(schedules: SubmissionSchedules) -> None:
    await schedules.create(NAME, spec())
    same, is_new = await schedules.create(NAME, spec())
    assert not is_new
    with pytest.raises(ScheduleExists):
        await schedules.create(NAME, spec(cron="1 3 * * *"))
    changed = await schedules.replace(NAME, spec(cron="1 3 * * *"))
    assert (changed.cron, changed.created_at) == ("1 3 * * *", same.created_at)
    assert [schedule.id for schedule in await schedules.all()] == [NAME]
    await schedules.delete(NAME)
    with pytest.raises(ScheduleNotFound):
        await schedules.get(NAME)


@pytest.mark.parametrize(
    "fields",
    [
        {"cron": "every night"},
        {"time_zone": "Mars"},
        {"global_specs": {"algorithm_name": "NotBundled"}},
        {"submission": {**specs(), "name": "mine"}},
        {"submission": {**specs(), "worker_specs": {"scale_out": 9}}},
    ],
)
async def test_what_could_never_be_submitted_is_refused_at_once(
    schedules: SubmissionSchedules, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        await schedules.create(NAME, spec(**fields))
    assert not await schedules.all()


def test_what_a_request_left_out_stays_left_out() -> None:
    body = specs()
    del body["worker_specs"]["scale_out"]
    schedule = SubmissionSchedule(id=NAME, next_fire_at=utc_now(), **spec(submission=body).model_dump())
    stored = SubmissionSchedule.from_mongo({"_id": NAME, **schedule.model_dump(exclude={"id"})})
    assert "scale_out" not in stored.submission.worker_specs.model_fields_set
