"""Submissions against a real MongoDB, on a runner that only writes down what it is told."""

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from common.errors import ApplicationExecutionNotFound, Conflict, InvalidRequest, NotFound, Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.wire.specs import ApplicationSpecs
from submission.idempotency import IdempotencyKeyReused
from submission.service import SubmissionService
from submission.submissions import SubmitOptions, TargetInfeasible
from tests.support.doubles import FixedChooser, NotingRunner
from tests.support.manifests import request_specs
from tests.support.samples import execution, specs
from tests.support.scraping import Counted

REQUESTED = SubmitOptions(policy="requested")


async def test_a_submission_is_stored_and_started(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    submission = await submissions.submit(request_specs())
    stored = await executions.get(submission.execution.id)
    assert stored == submission.execution
    assert runner.started == [stored.id]
    assert (stored.state, stored.runner) == (ApplicationState.PENDING, "local")
    assert (stored.initial_scale_out, stored.initial_scale_out_reason) == (4, "Four are enough.")
    assert stored.manifests[0]["spec"]["executor"]["instances"] == 4
    assert submission.response == {"kind": "SparkApplication"}
    (decision,) = await executions.decisions(stored.id)
    assert (decision.job_id, decision.chosen_scale_out, decision.current_scale_out) == (-1, 4, 2)
    assert decision.candidates[0].remaining_seconds == 80.0


async def test_requested_scale_out_is_kept_on_request(
    submissions: SubmissionService, chooser: FixedChooser
) -> None:
    chooser.expect({2: 60.0, 4: 35.0}, target_seconds=50.0)
    submission = await submissions.submit(request_specs(max_runtime=50.0), REQUESTED)
    assert submission.execution.initial_scale_out == 2
    assert submission.decision is not None
    assert submission.decision.chosen_scale_out == 2
    assert (submission.decision.feasible, submission.decision.meets_target) == (True, False)


async def test_in_shadow_mode_it_starts_as_requested_and_the_choice_is_recorded(
    submissions: SubmissionService, runner: NotingRunner
) -> None:
    submission = await submissions.submit(request_specs(), SubmitOptions(shadow=True))
    run, decision = submission.execution, submission.decision
    assert (run.shadow, run.initial_scale_out) == (True, 2)
    assert run.initial_scale_out_reason.endswith("it would start with 4: Four are enough.")
    assert run.manifests[0]["spec"]["executor"]["instances"] == 2
    assert decision is not None
    assert (decision.shadow, decision.chosen_scale_out) == (True, 4)


async def test_shadow_mode_is_another_request(submissions: SubmissionService) -> None:
    await submissions.submit(request_specs(), SubmitOptions(idempotency_key="one"))
    again = await submissions.submit(request_specs(), SubmitOptions(idempotency_key="one"))
    assert again.replayed
    with pytest.raises(IdempotencyKeyReused):
        await submissions.submit(request_specs(), SubmitOptions(idempotency_key="one", shadow=True))


async def test_left_out_scale_out_is_the_smallest(submissions: SubmissionService) -> None:
    body = specs(min_scale_out=3)
    del body["worker_specs"]["scale_out"]
    submission = await submissions.submit(ApplicationSpecs.model_validate(body), REQUESTED)
    assert submission.execution.initial_scale_out == 3
    assert submission.execution.worker_specs.scale_out == 3


@pytest.mark.parametrize("bounds", [{"min_scale_out": 3}, {"max_scale_out": 1}])
async def test_requested_scale_out_outside_the_bounds_is_refused(
    submissions: SubmissionService, executions: ExecutionRepository, bounds: dict[str, int]
) -> None:
    with pytest.raises(InvalidRequest, match=r"worker_specs\.scale_out is 2"):
        await submissions.submit(request_specs(**bounds))
    assert await executions.newest() == []


async def test_platform_limit(
    submissions: SubmissionService, runner: NotingRunner, chooser: FixedChooser
) -> None:
    runner.limit = 3
    submission = await submissions.submit(request_specs())
    assert submission.execution.global_specs.max_scale_out == 8, "as requested"
    assert chooser.asked[0].global_specs.max_scale_out == 3
    assert submission.execution.initial_scale_out == 3
    assert submission.execution.initial_scale_out_reason.endswith("Changed from 4 to lie within 1 and 3.")
    assert submission.execution.manifests[0]["spec"]["dynamicAllocation"]["maxExecutors"] == 3
    assert "at most 3 executors" in submission.response["warnings"][0]
    runner.limit = 1
    with pytest.raises(InvalidRequest, match="min_scale_out is 2"):
        await submissions.submit(request_specs(min_scale_out=2))


async def test_a_log_is_followed_once_a_runner_has_it(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("submission.waiting._LOOK_SECONDS", 0.01)
    runner.log = "one\ntwo\n"
    for follow, since in ((submissions.follow_log, 10), (submissions.follow_lines, 0)):
        waiting = execution()
        waiting.runner, waiting.environment_id = runner.name, "0" * 64
        await executions.insert(waiting)
        lines = await follow(waiting.id, since)
        first = asyncio.ensure_future(anext(lines))
        await asyncio.wait({first}, timeout=0.3)
        assert not first.done(), "it has not begun, and so not ended"
        await executions.record_state(waiting.id, ApplicationState.PENDING)
        assert [await first, *[line async for line in lines]] == ["one", "two"]


async def test_what_nobody_reads_is_told(submissions: SubmissionService) -> None:
    specs = request_specs(max_runtim=1, spark_template_values={"imag": "x"})
    submission = await submissions.submit(specs, SubmitOptions(name="nightly", idempotency_key="one"))
    told = [
        "unknown field global_specs.max_runtim is ignored; did you mean max_runtime?",
        "unknown field spark_template_values.imag is ignored; did you mean image?",
    ]
    assert submission.response["warnings"] == told
    again = await submissions.submit(specs, SubmitOptions(name="nightly", idempotency_key="one"))
    assert (again.replayed, again.response["warnings"]) == (True, told)


async def test_a_name_stays_out_of_the_way_of_a_release_name(submissions: SubmissionService) -> None:
    specs = request_specs(spark_template_values={"releaseName": "mine"})
    submission = await submissions.submit(specs, SubmitOptions(name="nightly"))
    assert submission.execution.manifests[0]["metadata"]["name"].startswith("mine-")


async def test_a_failing_prediction_does_not_stop_a_submission(
    submissions: SubmissionService, chooser: FixedChooser
) -> None:
    chooser.answer = ZeroDivisionError("weights")
    submission = await submissions.submit(request_specs())
    assert submission.execution.initial_scale_out == 2
    reason = "As requested: the prediction failed (ZeroDivisionError)."
    assert submission.execution.initial_scale_out_reason == reason


@pytest.mark.parametrize("error", [Unavailable("no Java"), AutoReconnect("away")])
async def test_nothing_is_stored_of_what_is_refused(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    chooser: FixedChooser,
    error: Exception,
) -> None:
    if isinstance(error, Unavailable):
        runner.refusal = error
    else:
        chooser.answer = error
    with pytest.raises(type(error)):
        await submissions.submit(request_specs())
    assert await executions.newest() == []


async def test_a_runner_that_cannot_take_it(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    runner.breakage = Unavailable("The API server is away.")
    with pytest.raises(Unavailable):
        await submissions.submit(request_specs())
    (stored,) = await executions.newest()
    assert (stored.state, stored.state_reason) == (
        ApplicationState.SUBMISSION_FAILED,
        "The API server is away.",
    )
    assert stored.end_time is not None


async def test_kill(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    first = (await submissions.submit(request_specs())).execution.id
    assert (await submissions.kill(first)).state is ApplicationState.KILLED
    assert (await submissions.kill(first)).state_reason == "Killed on request."

    forgotten = (await submissions.submit(request_specs())).execution.id
    runner.started.clear()
    assert (await submissions.kill(forgotten)).state is ApplicationState.KILLED

    await executions.insert(ApplicationExecution(id="elsewhere", runner="kubernetes", **specs()))
    with pytest.raises(Conflict, match="runner kubernetes"):
        await submissions.kill("elsewhere")
    with pytest.raises(NotFound, match="runner kubernetes"):
        await submissions.read_log("elsewhere", 1)
    with pytest.raises(ApplicationExecutionNotFound):
        await submissions.kill("none")


async def test_who_asked_for_the_end(submissions: SubmissionService) -> None:
    execution_id = (await submissions.submit(request_specs())).execution.id
    killed = await submissions.kill(execution_id, "alice")
    assert killed.state_changes[-1].reason == "Killed on request of alice."
    assert killed.kill_requested_by == "alice"
    assert killed.kill_requested_at is not None
    assert await submissions.kill(execution_id, "bob") == killed, "she was first"


async def test_a_dry_run_shows_everything_and_stores_nothing(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    chooser: FixedChooser,
) -> None:
    chooser.expect({1: 100.0, 4: 60.0, 8: 55.0}, target_seconds=80.0)
    runner.limit = 6
    runner.refusal = InvalidRequest("The platform says no.")
    runner.verdict = {"accepted": False, "reason": "no"}
    planned = await submissions.dry_run(request_specs(max_runtime=80.0))
    assert planned.response["accepted"] is False
    assert "at most 6 executors" in planned.response["warnings"][0]
    assert planned.execution.manifests[0]["spec"]["executor"]["instances"] == 4
    assert planned.decision is not None
    assert [each.scale_out for each in planned.decision.candidates] == [1, 4, 8]
    assert planned.decision.candidates[1].probability == pytest.approx(0.998, abs=0.001)
    assert await executions.newest() == []
    assert await executions.decisions(planned.execution.id) == []
    assert runner.started == []


async def test_an_infeasible_target_is_told_and_refused_only_on_request(
    submissions: SubmissionService, executions: ExecutionRepository, chooser: FixedChooser
) -> None:
    chooser.expect({1: 300.0, 4: 200.0}, target_seconds=120.0)
    with pytest.raises(TargetInfeasible, match=r"fastest takes 200\.0 s") as refused:
        await submissions.submit(request_specs(), SubmitOptions(require_feasible=True))
    members = refused.value.members
    assert (members["feasible"], members["fastest_runtime_seconds"]) == (False, 200.0)
    assert members["nearest_feasible_target_seconds"] == pytest.approx(200.0 * 1.0878, abs=0.1)
    assert [candidate["scale_out"] for candidate in members["candidates"]] == [1, 4]
    assert await executions.newest() == []
    submission = await submissions.submit(request_specs())
    assert submission.decision is not None
    assert submission.decision.feasible is False
    chooser.answer = ZeroDivisionError()
    await submissions.submit(request_specs(), SubmitOptions(require_feasible=True))  # nobody knows


async def test_what_was_stored_and_never_taken_is_handed_over_later(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    await submissions.submit(request_specs())
    long_ago = utc_now() - timedelta(minutes=5)
    for name, created_at in (("abandoned", long_ago), ("on-its-way", utc_now())):
        stored = ApplicationExecution(id=name, runner="local", created_at=created_at, **specs())
        await executions.insert(stored)
    await submissions.reconcile()
    assert runner.resumed == ["abandoned"]
    runner.resumed = []
    await submissions.reconcile()
    assert runner.resumed == [], "it is in the runner's hands"


async def test_resume(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    waiting = (await submissions.submit(request_specs())).execution.id
    killed = (await submissions.submit(request_specs())).execution.id
    await submissions.kill(killed)
    await executions.insert(ApplicationExecution(id="elsewhere", runner="kubernetes", **specs()))
    await submissions.resume()
    assert runner.resumed == [waiting]


async def test_what_is_being_worked_on_is_counted(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    counted = Counted(submissions._instruments.registry)
    runner.may_start.clear()
    asked = [asyncio.create_task(submissions.submit(request_specs())) for _ in range(3)]
    while len(await executions.newest()) < 3:
        await asyncio.sleep(0.01)
    assert counted("enel_submissions_in_progress") == 3
    runner.breakage = Unavailable("The platform is away.")
    runner.may_start.set()
    await asyncio.gather(*asked, return_exceptions=True)
    assert counted("enel_submissions_in_progress") == 0


async def test_what_was_stored_as_mongodb_went_away_is_handed_over_later(
    submissions: SubmissionService,
    executions: ExecutionRepository,
    runner: NotingRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing could be recorded of it: it is NEW, and nobody else has it."""

    async def away(*_: object, **__: object) -> bool:
        raise AutoReconnect("away")

    runner.breakage = AutoReconnect("away")
    with monkeypatch.context() as patch:
        patch.setattr(executions, "record_state", away)
        with pytest.raises(AutoReconnect):
            await submissions.submit(request_specs())
    [stored] = await executions.newest()
    assert stored.state is ApplicationState.NEW
    monkeypatch.setattr("submission.service._ABANDONED_SECONDS", 0.0)
    await submissions.reconcile()
    assert runner.resumed == [stored.id]


async def test_a_key_goes_with_what_no_platform_took_after_a_restart(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    """The service died before it handed over; at the next start it was refused."""
    options = SubmitOptions(idempotency_key="one")
    first = (await submissions.submit(request_specs(), options)).execution.id
    await submissions._ledger._answers.update_one({"_id": first}, {"$unset": {"response": ""}})
    await executions._applications.update_one({"_id": first}, {"$set": {"state": "SUBMISSION_FAILED"}})
    with pytest.raises(Unavailable, match="not taken"):
        await submissions.submit(request_specs(), options)
    again = await submissions.submit(request_specs(), options)
    assert not again.replayed
    assert again.execution.id != first
