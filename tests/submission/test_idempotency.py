"""The same submission again: one application, however many services are asked, and however often."""

import asyncio
from datetime import timedelta

import pytest

from common.errors import Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.wire.specs import ApplicationSpecs
from submission.idempotency import IdempotencyKeyReused, NameInUse
from submission.service import SubmissionService
from submission.submissions import SubmitOptions, fingerprint
from tests.support.doubles import NotingRunner, OpenSubmissions
from tests.support.manifests import request_specs
from tests.support.samples import specs

KEYED = SubmitOptions(idempotency_key="key/1")
NAMED = SubmitOptions(name="nightly")


@pytest.mark.parametrize("how", [KEYED, NAMED], ids=["key", "name"])
async def test_the_second_answer_is_the_first_one(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    how: SubmitOptions,
) -> None:
    first = await submissions.submit(request_specs(), how)
    again = await submissions.submit(request_specs(), how)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.execution, again.response, again.decision) == (
        first.execution,
        first.response,
        first.decision,
    )
    assert runner.started == [first.execution.id]
    assert len(await executions.newest()) == 1


@pytest.mark.parametrize("how", [KEYED, NAMED], ids=["key", "name"])
async def test_many_at_once_on_several_services(
    open_submissions: OpenSubmissions, executions: ExecutionRepository, how: SubmitOptions
) -> None:
    runners = [NotingRunner(executions.record_state) for _ in range(3)]
    services = [open_submissions(runner) for runner in runners]
    answers = await asyncio.gather(
        *(service.submit(request_specs(), how) for service in services for _ in range(4))
    )
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({answer.execution.id for answer in answers}) == 1
    assert all(answer.response == {"kind": "SparkApplication"} for answer in answers)
    assert sum(len(runner.started) for runner in runners) == 1
    assert len(await executions.newest()) == 1


async def test_another_request_with_the_same_key_or_name_is_refused(
    submissions: SubmissionService, executions: ExecutionRepository
) -> None:
    await submissions.submit(request_specs(), KEYED)
    with pytest.raises(IdempotencyKeyReused):
        await submissions.submit(request_specs(max_runtime=9.0), KEYED)
    await submissions.submit(request_specs(), NAMED)
    with pytest.raises(NameInUse):
        await submissions.submit(request_specs(max_runtime=9.0), NAMED)
    assert len(await executions.newest()) == 2


async def test_a_name_is_free_again_when_its_application_has_ended(
    submissions: SubmissionService, executions: ExecutionRepository
) -> None:
    first = await submissions.submit(request_specs(), NAMED)
    assert first.execution.manifests[0]["metadata"]["name"].startswith("nightly-")
    await executions.record_state(first.execution.id, ApplicationState.COMPLETED)
    second = await submissions.submit(request_specs(), NAMED)
    assert second.execution.id != first.execution.id
    assert [each.name for each in await executions.newest()] == ["nightly", "nightly"]


async def test_a_key_that_has_expired_is_free_again(
    submissions: SubmissionService, mongo: Client, database: str
) -> None:
    first = await submissions.submit(request_specs(), KEYED)
    past = utc_now() - timedelta(seconds=1)
    await mongo[database]["submission_key"].update_one({"_id": "key/1"}, {"$set": {"expires_at": past}})
    second = await submissions.submit(request_specs(max_runtime=9.0), KEYED)
    assert second.execution.id != first.execution.id
    assert (await submissions.submit(request_specs(max_runtime=9.0), KEYED)).execution.id == (
        second.execution.id
    )


async def test_what_no_platform_took_may_be_sent_again(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    options = SubmitOptions(idempotency_key="key/1", name="nightly")
    runner.breakage = Unavailable("The API server is away.")
    with pytest.raises(Unavailable):
        await submissions.submit(request_specs(), options)
    runner.breakage = None
    submission = await submissions.submit(request_specs(), options)
    assert not submission.replayed
    states = [execution.state.value for execution in await executions.newest()]
    assert states == ["PENDING", "SUBMISSION_FAILED"]


async def test_a_repeated_request_waits_for_the_first_one_s_answer(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    runner.may_start.clear()
    first = asyncio.create_task(submissions.submit(request_specs(), KEYED))
    while not await executions.newest():
        await asyncio.sleep(0.01)
    again = asyncio.create_task(submissions.submit(request_specs(), KEYED))
    await asyncio.sleep(0)
    runner.may_start.set()
    assert (await again).response == (await first).response == {"kind": "SparkApplication"}
    assert len(runner.started) == 1


async def test_a_submission_that_died_is_taken_up_when_it_is_sent_again(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    mongo: Client,
    database: str,
) -> None:
    """Its service was killed after it had stored it."""
    submission = await submissions.submit(request_specs(), KEYED)
    abandoned = ApplicationExecution(
        id="abandoned", runner="local", created_at=utc_now() - timedelta(minutes=5), **specs()
    )
    await executions.insert(abandoned)
    await mongo[database]["submission_key"].update_one(
        {"_id": "key/1"}, {"$set": {"application_execution_id": "abandoned"}}
    )
    again = await submissions.submit(request_specs(), KEYED)
    assert again.execution.id == "abandoned"
    assert runner.resumed == ["abandoned"]
    assert runner.started == [submission.execution.id]


def test_what_is_left_out_is_what_it_is_by_default() -> None:
    body = specs()
    said = ApplicationSpecs.model_validate(body)
    del body["master_specs"]
    short = ApplicationSpecs.model_validate(body)
    assert fingerprint(said, "predicted") == fingerprint(short, "predicted")
    assert fingerprint(said, "predicted") != fingerprint(said, "requested")
    body["global_specs"]["algorithm_args"] = ["--iterations", 5]
    assert fingerprint(ApplicationSpecs.model_validate(body), "predicted") != fingerprint(said, "predicted")
