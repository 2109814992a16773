"""Submissions against a real MongoDB, on a runner that only writes down what it is told."""

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from common.documents import ApplicationExecution, ApplicationState
from common.errors import ApplicationExecutionNotFound, Conflict, InvalidRequest, Unavailable
from common.executions import ExecutionRepository
from common.specs import ApplicationSpecs, WorkerSpecs
from prediction.initial import InitialScaleOut
from submission.manifest import Manifest, ManifestOptions
from submission.runners import RecordState, Runner
from submission.service import SubmissionService
from tests.samples import specs
from tests.submission.conftest import request_specs


class NotingRunner:
    name = "local"

    def __init__(self, record_state: RecordState) -> None:
        self._record_state = record_state
        self.limit: int | None = None
        self.started: list[str] = []
        self.resumed: list[str] = []
        self.log: str | None = None
        self.refusal: Exception | None = None
        self.breakage: Exception | None = None

    def max_executors(self, worker: WorkerSpecs) -> int | None:
        return self.limit

    async def check(self, manifest: Manifest) -> None:
        if self.refusal:
            raise self.refusal

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        if self.breakage:
            raise self.breakage
        await self._record_state(execution_id, ApplicationState.PENDING, "in line")
        self.started.append(execution_id)
        return {"kind": manifest["kind"]}

    async def stop(self, execution_id: str) -> bool:
        if execution_id not in self.started:
            return False
        await self._record_state(execution_id, ApplicationState.KILLED, "asked", fields={})
        return True

    async def read_log(self, execution_id: str, tail_lines: int) -> str | None:
        return self.log

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        self.resumed = [execution.id for execution in executions]

    async def aclose(self) -> None:
        pass


class Chooser:
    def __init__(self) -> None:
        self.answer: InitialScaleOut | Exception = InitialScaleOut(4, "Four are enough.", 80.0)
        self.asked: list[ApplicationSpecs] = []

    async def __call__(self, specs: ApplicationSpecs) -> InitialScaleOut:
        self.asked.append(specs)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def runner(executions: ExecutionRepository) -> NotingRunner:
    return NotingRunner(executions.record_state)


@pytest.fixture
def chooser() -> Chooser:
    return Chooser()


@pytest.fixture
def submissions(
    executions: ExecutionRepository, runner: NotingRunner, chooser: Chooser, options: ManifestOptions
) -> SubmissionService:
    seam: Runner = runner
    return SubmissionService(executions, seam, chooser, options)


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
    submissions: SubmissionService, chooser: Chooser
) -> None:
    submission = await submissions.submit(request_specs(), "requested")
    assert submission.execution.initial_scale_out == 2
    assert chooser.asked == []


async def test_left_out_scale_out_is_the_smallest(submissions: SubmissionService) -> None:
    body = specs(min_scale_out=3)
    del body["worker_specs"]["scale_out"]
    submission = await submissions.submit(ApplicationSpecs.model_validate(body), "requested")
    assert submission.execution.initial_scale_out == 3
    assert submission.execution.worker_specs.scale_out == 3


@pytest.mark.parametrize("bounds", [{"min_scale_out": 3}, {"max_scale_out": 1}])
async def test_requested_scale_out_outside_the_bounds_is_refused(
    submissions: SubmissionService, executions: ExecutionRepository, bounds: dict[str, int]
) -> None:
    with pytest.raises(InvalidRequest, match=r"worker_specs\.scale_out is 2"):
        await submissions.submit(request_specs(**bounds))
    assert await executions.newest() == []


async def test_platform_limit(submissions: SubmissionService, runner: NotingRunner, chooser: Chooser) -> None:
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


async def test_a_failing_prediction_does_not_stop_a_submission(
    submissions: SubmissionService, chooser: Chooser
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
    chooser: Chooser,
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
    assert (await submissions.kill(first)).state_reason == "asked"

    forgotten = (await submissions.submit(request_specs())).execution.id
    runner.started.clear()
    assert (await submissions.kill(forgotten)).state is ApplicationState.KILLED

    await executions.insert(ApplicationExecution(id="elsewhere", runner="kubernetes", **specs()))
    with pytest.raises(Conflict, match="by kubernetes"):
        await submissions.kill("elsewhere")
    assert await submissions.read_log("elsewhere", 1) is None
    with pytest.raises(ApplicationExecutionNotFound):
        await submissions.kill("none")


async def test_resume(
    submissions: SubmissionService, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    waiting = (await submissions.submit(request_specs())).execution.id
    killed = (await submissions.submit(request_specs())).execution.id
    await submissions.kill(killed)
    await executions.insert(ApplicationExecution(id="elsewhere", runner="kubernetes", **specs()))
    await submissions.resume()
    assert runner.resumed == [waiting]
