"""Pipelines, from the request to their end.

A turn looks at every run that goes on: what has ended is noted, what may start is submitted, with a key made
of the run and the step, so that a service that dies in between, or two that look at once, start it once.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from bson import ObjectId
from pymongo.errors import ConnectionFailure

from common.clocks import monotonic_seconds
from common.errors import (
    ApplicationExecutionNotFound,
    Conflict,
    InvalidRequest,
    ServiceError,
    Unavailable,
)
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import Loop
from common.models.versions import PROGRAM_KIND, model_name
from common.mongo.document import utc_now
from common.workspaces.documents import Snapshot
from common.workspaces.paths import check_path
from common.workspaces.repository import FileNotInWorkspace
from common.workspaces.workspaces import Workspaces
from prediction.inference.records.repository import PredictionRepository
from submission.idempotency import IdempotencyKeyReused
from submission.pipelines.definition import (
    InvalidPipeline,
    Pipeline,
    Scalar,
    Step,
    as_stored,
    chosen,
    parse_pipeline,
)
from submission.pipelines.documents import (
    PipelineRun,
    PipelineState,
    PipelineStep,
    StepState,
    output_digest,
    step_key,
)
from submission.pipelines.repository import PipelineRepository
from submission.programs.documents import OutputFile
from submission.programs.repository import ProgramRunRepository
from submission.requests import SubmitRequest
from submission.service import SubmissionService
from submission.submissions import SubmitOptions

logger = logging.getLogger(__name__)

DEFAULT_FILE = "pipeline.yaml"
_TURN_SECONDS = 1.0
_CANCEL_SECONDS = 10.0
_CANCEL_POLL_SECONDS = 0.1

Check = Callable[[SubmitRequest], Awaitable[None]]


class Pipelines:
    """Starts and carries on pipelines; its `loop` is to run while the service does."""

    def __init__(
        self,
        stored: PipelineRepository,
        workspaces: Workspaces,
        submissions: SubmissionService,
        executions: ExecutionRepository,
        runs: ProgramRunRepository,
        predictions: PredictionRepository,
    ) -> None:
        self._predictions = predictions
        self.stored = stored
        self._workspaces = workspaces
        self._submissions = submissions
        self._executions = executions
        self._runs = runs

    def loop(self) -> Loop:
        """To run while the service does."""
        return Loop("pipelines", self.turn, _TURN_SECONDS)

    # --- what people do -----------------------------------------------------------------------------

    async def start(
        self,
        workspace: str,
        *,
        folder: str = ".",
        file: str = DEFAULT_FILE,
        anew: bool = False,
        parameters: Mapping[str, Scalar] | None = None,
        by: str | None = None,
        check: Check | None = None,
        key: str | None = None,
    ) -> tuple[PipelineRun, bool]:
        """A run of what the file says now, whose steps start one after another; and whether it is new.

        Args:
            anew: Run every step, also where nothing has changed.
            parameters: Values for what the file calls parameters, in place of its own.
            check: Raises where whoever asks may not run a step.
            key: Of a request that may have been sent before: with the same key it is the same run.
        Raises:
            IdempotencyKeyReused: Of another request.
            InvalidPipeline, FileNotInWorkspace, WorkspaceNotFound: Nothing is stored.
        """
        said = {"workspace": workspace, "folder": folder, "file": file, "anew": anew}
        said |= {"parameters": dict(parameters or {})}
        run_id = str(ObjectId()) if key is None else _id_of(key)
        if key is not None and (there := await self.stored.find(run_id)):
            if there.said != said:
                raise IdempotencyKeyReused(f"The key was sent before with another request: {there.id}.")
            return there, False
        path = check_path(file)
        below = "" if folder in (".", "./") else check_path(folder)
        whole = await self._workspaces.take_snapshot(workspace, by, folder=below)
        found = next((each for each in whole.files if each.path == path), None)
        if found is None:
            raise FileNotInWorkspace(f"There is no {path!r} in {below or workspace!r}.")
        declared = parse_pipeline(await self._workspaces.content(workspace, found), path)
        pipeline = declared.with_parameters(parameters or {})
        steps = [
            PipelineStep(
                name=name,
                needs=step.needs,
                said=as_stored(step),
                snapshot_id=await self._snapshot(whole, name, step, by),
            )
            for name, step in pipeline.steps.items()
        ]
        await self._check(workspace, folder, pipeline, check)
        run = PipelineRun(
            id=run_id,
            said=said,
            workspace=workspace,
            folder=folder,
            file=path,
            result_step=pipeline.result_step,
            anew=anew,
            steps=steps,
            submitted_by=by,
        )
        return await self.stored.insert(run), True

    async def cancel(self, run_id: str, by: str) -> PipelineRun:
        """End what runs, and start nothing more; one that has ended is left as it is.

        The request is stored, and carried out in a turn, of the service that runs the step: it is waited for
        a moment.
        """
        await self.stored.request_cancel(run_id, by)
        deadline = monotonic_seconds() + _CANCEL_SECONDS
        while True:
            run = await self.stored.get(run_id)
            if run.state.is_final or monotonic_seconds() >= deadline:
                return run
            await asyncio.sleep(_CANCEL_POLL_SECONDS)

    async def _snapshot(self, whole: Snapshot, name: str, step: Step, by: str | None) -> str:
        files = chosen(whole.files, step)
        if not any(file.path == check_path(step.file) for file in files):
            raise InvalidPipeline(f"steps.{name}.file: there is no {step.file!r} among its files.")
        return (await self._workspaces.keep_snapshot(whole.workspace, whole.folder, files, by)).id

    async def _check(self, workspace: str, folder: str, pipeline: Pipeline, check: Check | None) -> None:
        """Raises InvalidRequest where a step's submission would be refused, and what `check` raises."""
        for name, step in pipeline.steps.items():
            try:
                submission = step.model_copy(update={"folder": folder}).submission(workspace)
                await self._submissions.check(submission)
            except (InvalidRequest, ValueError) as error:
                raise InvalidPipeline(f"steps.{name}: {error}") from error
            if check is not None:
                await check(submission)

    # --- carrying on --------------------------------------------------------------------------------

    async def turn(self) -> None:
        """Look at every run that goes on."""
        for run in await self.stored.running():
            try:
                while await self._advance(run):
                    pass
            except (Unavailable, Conflict) as error:
                logger.info("pipeline %s: tried again later: %s", run.id, error)
            except ConnectionFailure:
                raise
            except Exception:  # of one run: others are behind it
                logger.exception("pipeline %s: could not be carried on", run.id)

    async def _advance(self, run: PipelineRun) -> bool:
        """Whether something has changed, so that it is worth to look again."""
        before = run.model_dump()
        for step in run.steps:
            if run.cancel_requested_by is not None:
                await self._cancel(step, run.cancel_requested_by)
            elif step.state is StepState.RUNNING:
                await self._follow(step)
            elif step.state is StepState.WAITING:
                await self._start_if_ready(run, step)
        if all(step.state.is_final for step in run.steps):
            succeeded = all(step.state.is_done for step in run.steps)
            run.state = PipelineState.SUCCEEDED if succeeded else PipelineState.FAILED
            if run.cancel_requested_by is not None and not succeeded:
                run.state = PipelineState.CANCELLED
            run.ended_at = utc_now()
        if run.model_dump() == before:
            return False
        return await self.stored.store(run) and not run.state.is_final

    async def _cancel(self, step: PipelineStep, by: str) -> None:
        if step.state.is_final:
            return
        if (execution_id := step.application_execution_id or step.planned_execution_id) is not None:
            with contextlib.suppress(ApplicationExecutionNotFound):  # it was about to be submitted
                await self._submissions.kill(execution_id, by)
                step.application_execution_id = execution_id
        _end(step, StepState.CANCELLED, f"Cancelled on request of {by}.")

    async def _follow(self, step: PipelineStep) -> None:
        assert step.application_execution_id is not None, "it runs"
        try:
            execution = await self._executions.get(step.application_execution_id)
        except ApplicationExecutionNotFound as error:
            _end(step, StepState.FAILED, str(error))
            return
        if not execution.state.is_final:
            return
        if execution.state is not ApplicationState.COMPLETED:
            reason = execution.state_reason or f"The application is {execution.state.value.lower()}."
            _end(step, StepState.FAILED, reason)
            return
        run = await self._runs.find(execution.id)
        if run is None or run.files is None:
            _end(step, StepState.FAILED, "The program ended well, but what it left is not there.")
        elif run.unpublished:
            return  # a version is being made of it
        elif run.version is None and execution.program is not None and execution.program.output == "version":
            _end(step, StepState.FAILED, run.publishing_detail or "No version was made of what it left.")
        else:
            _end(step, StepState.SUCCEEDED, f"Version {run.version}." if run.version else "")

    async def _start_if_ready(self, run: PipelineRun, step: PipelineStep) -> None:
        needed = [run.step(name) for name in step.needs]
        if any(each.state.is_final and not each.state.is_done for each in needed):
            _end(step, StepState.SKIPPED, "What it needs has not ended well.")
            return
        if not all(each.state.is_done for each in needed):
            return
        inputs = {each.name: str(each.application_execution_id) for each in needed}
        digests = {name: output_digest(await self._output(run_id)) for name, run_id in inputs.items()}
        if Step.model_validate(step.said).feedback:
            digests[""] = await self._feedback(run, step)  # no step is called so
        step.key = step_key(step, run.workspace, digests)
        if not run.anew and (made := await self.stored.find_output(step.key)) and await self._is_there(made):
            step.application_execution_id = made
            _end(step, StepState.REUSED, "Nothing that it is made of has changed.")
            return
        if step.planned_execution_id is None or await self._was_not_taken(step.planned_execution_id):
            # Stored before it is submitted: whoever cancels, or takes over, knows what there may be.
            step.planned_execution_id = str(ObjectId())
            return
        try:
            await self._submit(run, step, inputs)
        except Unavailable:
            raise
        except (ServiceError, ValueError) as error:
            _end(step, StepState.FAILED, str(error)[:1000])

    async def _was_not_taken(self, execution_id: str) -> bool:
        """Whether it was stored, and then taken by no platform: its id is used up."""
        try:
            return (await self._executions.get(execution_id)).state is ApplicationState.SUBMISSION_FAILED
        except ApplicationExecutionNotFound:
            return False

    async def _feedback(self, run: PipelineRun, step: PipelineStep) -> str:
        """What stands for all that people have said of the step's model until now."""
        said = Step.model_validate(step.said).model_copy(update={"folder": run.folder})
        names = said.submission(run.workspace).global_specs
        model = model_name(names.system_name, names.algorithm_name, PROGRAM_KIND)
        return await self._predictions.feedback_stamp(model)

    async def _submit(self, run: PipelineRun, step: PipelineStep, inputs: Mapping[str, str]) -> None:
        said = Step.model_validate(step.said).model_copy(
            update={"folder": run.folder, "snapshot_id": step.snapshot_id, "inputs": dict(inputs)}
        )
        options = SubmitOptions(
            idempotency_key=f"pipeline/{run.id}/{step.name}",
            submitted_by=run.submitted_by,
            since=run.created_at,
            execution_id=step.planned_execution_id,
        )
        submission = await self._submissions.submit(said.submission(run.workspace), options)
        step.application_execution_id = submission.execution.id
        step.state, step.started_at = StepState.RUNNING, utc_now()

    async def _is_there(self, run_id: str) -> bool:
        return bool(await self._output(run_id))

    async def _output(self, run_id: str) -> list[OutputFile]:
        run = await self._runs.find(run_id)
        return (run.files if run is not None else None) or []


def _id_of(key: str) -> str:
    return hashlib.sha256(f"pipeline/{key}".encode()).hexdigest()[:24]


def _end(step: PipelineStep, state: StepState, reason: str) -> None:
    step.state, step.reason, step.ended_at = state, reason, utc_now()
