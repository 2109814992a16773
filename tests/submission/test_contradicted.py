"""Submissions that failed by the platform's word, while their drivers report."""

import pytest

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation
from routers.schemas.applications import ApplicationView, notes_about
from submission.idempotency import NameInUse
from submission.service import SubmissionService
from submission.submissions import SubmitOptions
from tests.support.doubles import NotingRunner
from tests.support.manifests import request_specs
from tests.support.samples import application_start

NAMED = SubmitOptions(name="nightly")
ALONE = SubmitOptions(schedule_name="nightly", alone=True)


async def contradict(submissions: SubmissionService, options: SubmitOptions) -> str:
    executions = submissions._executions
    run = (await submissions.submit(request_specs(), options)).execution.id
    await executions.record_state(run, ApplicationState.SUBMISSION_FAILED, "driver pod already exists")
    event = UpdateInformation.model_validate(application_start(run)).event()
    await executions.apply_event(run, event)
    return run


async def test_its_name_is_in_use(submissions: SubmissionService, executions: ExecutionRepository) -> None:
    run = await contradict(submissions, NAMED)
    with pytest.raises(NameInUse, match=f"{run}, which is SUBMISSION_FAILED, and whose driver reports"):
        await submissions.submit(request_specs(), NAMED)
    await executions.record_driver_ended(run, "Killed on request.")
    assert (await submissions.submit(request_specs(), NAMED)).execution.id != run


async def test_its_schedule_waits(submissions: SubmissionService) -> None:
    await contradict(submissions, ALONE)
    with pytest.raises(NameInUse):
        await submissions.submit(request_specs(), ALONE)


async def test_it_can_be_ended_and_says_so(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    run = await contradict(submissions, NAMED)
    stored = await executions.get(run)
    assert ApplicationView.of(stored).model_dump()["driver_reports"] is True
    [*_, note] = notes_about(stored, [])
    assert "SUBMISSION_FAILED by the platform's word, but its driver reports" in note
    assert "silent for 60 minutes" in note
    await submissions.kill(run, "Ada")
    assert runner.stopped == [(run, "Killed on request of Ada.")]
    assert (await executions.get(run)).kill_requested_by == "Ada"
