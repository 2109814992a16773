"""A wall clock that is set back holds no submission up for longer than it otherwise takes."""

from datetime import timedelta
from typing import Any

import pytest

from common.errors import Unavailable
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from submission.idempotency import SubmissionLedger
from submission.schedules import ScheduleSpec, SubmissionSchedules
from submission.service import SubmissionService
from submission.submissions import SubmitOptions
from tests.support.clocks import Clocks
from tests.support.doubles import NotingRunner
from tests.support.manifests import request_specs
from tests.support.samples import specs

NAME = "nightly"


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.fixture
def schedules(
    mongo: Client, database: str, executions: ExecutionRepository, submissions: SubmissionService
) -> SubmissionSchedules:
    return SubmissionSchedules(mongo, database, executions, submissions)


async def create_due(schedules: SubmissionSchedules, mongo: Client, database: str) -> None:
    body: dict[str, Any] = {"cron": "0 3 29 2 *", "submission": specs(max_runtime=90.0)}
    await schedules.create(NAME, ScheduleSpec.model_validate(body))
    due = {"$set": {"next_fire_at": utc_now() - timedelta(seconds=5)}}
    await mongo[database]["submission_schedule"].update_one({"_id": NAME}, due)


async def test_an_abandoned_submission_is_handed_over(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner, clocks: Clocks
) -> None:
    stored = ApplicationExecution(id="abandoned", runner="local", created_at=utc_now(), **specs())
    await executions.insert(stored)
    clocks.set_back(hours=2)
    await submissions.reconcile()
    clocks.pass_seconds(30)
    await submissions.reconcile()
    assert runner.resumed == [], "another service may be at it"
    clocks.pass_seconds(31)
    await submissions.reconcile()
    assert runner.resumed == ["abandoned"]


async def test_the_answer_of_a_submission_under_way_is_not_waited_for_until_the_clock_has_caught_up(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    clocks: Clocks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = SubmitOptions(idempotency_key="key/1")
    first = await submissions.submit(request_specs(), options)
    looks = 0

    async def not_yet(self: SubmissionLedger, execution_id: str) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            clocks.set_back(hours=2)
        clocks.pass_seconds(3)

    monkeypatch.setattr(SubmissionLedger, "find_answer", not_yet)
    again = await submissions.submit(request_specs(), options)
    assert (again.replayed, again.execution.id) == (True, first.execution.id)
    assert "is not known" in again.response["warnings"][0]
    assert looks == 4


@pytest.mark.parametrize("service_dies", [True, False], ids=["taken by a service that died", "to be retried"])
async def test_a_firing_is_taken_up(
    schedules: SubmissionSchedules,
    executions: ExecutionRepository,
    submissions: SubmissionService,
    mongo: Client,
    database: str,
    runner: NotingRunner,
    clocks: Clocks,
    monkeypatch: pytest.MonkeyPatch,
    service_dies: bool,
) -> None:
    await create_due(schedules, mongo, database)
    if service_dies:

        async def die(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
            dying.setattr(submissions, "submit", die)
            await schedules.tick()
    else:
        runner.refusal = Unavailable("The API server is away.")
        await schedules.tick()
        runner.refusal = None
    clocks.set_back(hours=2)
    await schedules.tick()
    assert not await executions.newest(limit=10), "who has taken it may be at it"
    clocks.pass_seconds(301)
    await schedules.tick()
    [execution] = await executions.newest(limit=10)
    schedule = await schedules.get(NAME)
    assert (schedule.last_application_execution_id, schedule.firing) == (execution.id, None)
