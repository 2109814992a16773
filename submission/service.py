"""Submissions, from the request to the runner.

The order is what makes an acknowledged submission safe: everything that can be refused is refused
first; then the execution is stored together with its manifest; then the runner takes it; only
then the answer goes out. What was stored and not taken, because the service died in between, is
handed to the runner at the next start.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bson import ObjectId
from pymongo.errors import PyMongoError

from common.documents import (
    ApplicationExecution,
    ApplicationState,
    CandidateForecast,
    ScalingDecision,
    utc_now,
)
from common.errors import Conflict, InvalidRequest, ServiceError
from common.executions import ExecutionRepository
from common.specs import ApplicationSpecs
from prediction.initial import InitialScaleOut
from submission.manifest import Manifest, ManifestOptions, build_manifest
from submission.runners import Runner

logger = logging.getLogger(__name__)

InitialScaleOutPolicy = Literal["predicted", "requested"]


class ChooseInitialScaleOut(Protocol):
    """Chooses from history; without any, `worker_specs.scale_out`."""

    async def __call__(self, specs: ApplicationSpecs) -> InitialScaleOut: ...


@dataclass(frozen=True)
class Submission:
    execution: ApplicationExecution
    response: Mapping[str, Any]
    """What the platform answered; `warnings` says where the request was not followed to the letter."""


@dataclass(frozen=True)
class _Plan:
    initial: InitialScaleOut
    manifest: Manifest
    max_scale_out: int
    """What the platform can hold of the requested maximum."""
    warnings: list[str]


class SubmissionService:
    """Submits, kills and resumes applications on one runner."""

    def __init__(
        self,
        executions: ExecutionRepository,
        runner: Runner,
        choose_initial_scale_out: ChooseInitialScaleOut,
        manifest_options: ManifestOptions,
    ) -> None:
        self._executions = executions
        self._runner = runner
        self._choose_initial_scale_out = choose_initial_scale_out
        self._manifest_options = manifest_options
        self._platform = runner.name.partition("/")[0]

    async def submit(
        self, specs: ApplicationSpecs, policy: InitialScaleOutPolicy = "predicted"
    ) -> Submission:
        """Store and start an application.

        Args:
            policy: `requested` starts with `worker_specs.scale_out`, whatever history says.
        Raises:
            InvalidRequest: The request cannot be carried out; nothing is stored.
            Unavailable: The platform is not in order.
        """
        specs = _with_scale_out(specs)
        execution_id = str(ObjectId())
        plan = await self._plan(specs, execution_id, policy)
        await self._runner.check(plan.manifest)
        execution = ApplicationExecution(
            **specs.model_dump(),
            id=execution_id,
            runner=self._runner.name,
            manifests=[plan.manifest],
            initial_scale_out=plan.initial.scale_out,
            initial_scale_out_reason=plan.initial.reason,
            max_scale_out_in_effect=plan.max_scale_out,
        )
        await self._executions.insert(execution)
        logger.info("%s: stored, starts with %d executors", execution_id, plan.initial.scale_out)
        response = await self._hand_over(execution, plan)
        return Submission(
            await self._latest(execution),
            {**response, "warnings": plan.warnings} if plan.warnings else response,
        )

    async def kill(self, execution_id: str) -> ApplicationExecution:
        """End an application; one that has ended already is left as it is.

        Raises:
            ApplicationExecutionNotFound: There is no such execution.
            Conflict: Another runner than the present one has it.
        """
        execution = await self._executions.get(execution_id)
        if execution.state.is_final:
            return execution
        if execution.runner != self._runner.name:
            raise Conflict(
                f"The application execution {execution_id} was not started by this service's"
                f" runner ({self._runner.name}), but by {execution.runner or 'none'}."
            )
        if not await self._runner.stop(execution_id):
            # Stored, but never handed over, or its last state is just being stored.
            await self._executions.record_state(
                execution_id, ApplicationState.KILLED, "Killed on request.", fields={"end_time": utc_now()}
            )
        return await self._executions.get(execution_id)

    async def read_log(self, execution_id: str, tail_lines: int) -> str | None:
        """The last lines of the driver's output; None when there are none.

        Raises:
            ApplicationExecutionNotFound: There is no such execution.
        """
        execution = await self._executions.get(execution_id)
        if execution.runner != self._runner.name:
            return None
        return await self._runner.read_log(execution_id, tail_lines)

    async def resume(self) -> None:
        """Hand executions from before a restart to the runner; once, before requests are served."""
        unfinished = await self._executions.unfinished(self._runner.name)
        if unfinished:
            logger.info("resuming %d unfinished executions", len(unfinished))
            await self._runner.resume(unfinished)

    async def aclose(self) -> None:
        await self._runner.aclose()

    async def _plan(self, specs: ApplicationSpecs, execution_id: str, policy: InitialScaleOutPolicy) -> _Plan:
        limit = self._runner.max_executors(specs.worker_specs)
        bounds, warnings = specs.global_specs, []
        if limit is not None and limit < bounds.min_scale_out:
            raise InvalidRequest(
                f"min_scale_out is {bounds.min_scale_out}, but the {self._platform} Spark can hold"
                f" {limit} executors with {specs.worker_specs.cores} cores and {specs.worker_specs.memory}."
            )
        if limit is not None and limit < bounds.max_scale_out:
            warnings.append(
                f"max_scale_out {bounds.max_scale_out} is more than the {self._platform} Spark can hold;"
                f" at most {limit} executors will be used."
            )
            bounds = bounds.model_copy(update={"max_scale_out": limit})
        initial = await self._initial(specs.model_copy(update={"global_specs": bounds}), policy)
        manifest = build_manifest(
            specs,
            execution_id,
            initial.scale_out,
            self._manifest_options,
            max_scale_out=bounds.max_scale_out,
        )
        return _Plan(initial, manifest, bounds.max_scale_out, warnings)

    async def _initial(self, specs: ApplicationSpecs, policy: InitialScaleOutPolicy) -> InitialScaleOut:
        requested = InitialScaleOut(specs.worker_specs.scale_out, "As requested (worker_specs.scale_out).")
        chosen = requested
        if policy == "predicted":
            try:
                chosen = await self._choose_initial_scale_out(specs)
            except PyMongoError:
                raise  # the execution could not be stored either
            except Exception as error:  # an application is not refused because a model fails
                logger.exception("no initial scale-out for %s", specs.global_specs.algorithm_name)
                detail = str(error) if isinstance(error, ServiceError) else type(error).__name__
                reason = f"As requested: the prediction failed ({detail})."
                chosen = InitialScaleOut(requested.scale_out, reason)
        lowest, highest = specs.global_specs.min_scale_out, specs.global_specs.max_scale_out
        clamped = min(max(chosen.scale_out, lowest), highest)
        if clamped == chosen.scale_out:
            return chosen
        reason = f"{chosen.reason} Changed from {chosen.scale_out} to lie within {lowest} and {highest}."
        return InitialScaleOut(clamped, reason)

    async def _hand_over(self, execution: ApplicationExecution, plan: _Plan) -> dict[str, Any]:
        try:
            await self._executions.insert_decision(_first_decision(execution, plan.initial))
        except PyMongoError as error:  # it only explains; the execution itself is stored
            logger.warning("%s: the first decision could not be stored: %s", execution.id, error)
        try:
            return await self._runner.start(plan.manifest, execution.id)
        except Exception as error:
            reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
            await self._executions.record_state(
                execution.id, ApplicationState.SUBMISSION_FAILED, reason, fields={"end_time": utc_now()}
            )
            raise

    async def _latest(self, execution: ApplicationExecution) -> ApplicationExecution:
        try:
            return await self._executions.get(execution.id)
        except PyMongoError as error:  # stored and handed over: the caller must not submit again
            logger.warning("%s: answered as it was stored first: %s", execution.id, error)
            return execution


def _with_scale_out(specs: ApplicationSpecs) -> ApplicationSpecs:
    """The specs with a requested scale-out within the bounds; one that was left out is the smallest.

    Raises:
        InvalidRequest: The requested scale-out lies outside the bounds.
    """
    bounds, worker = specs.global_specs, specs.worker_specs
    if "scale_out" not in worker.model_fields_set:
        worker = worker.model_copy(update={"scale_out": bounds.min_scale_out})
        return specs.model_copy(update={"worker_specs": worker})
    if not bounds.min_scale_out <= worker.scale_out <= bounds.max_scale_out:
        raise InvalidRequest(
            f"worker_specs.scale_out is {worker.scale_out}, but min_scale_out is {bounds.min_scale_out}"
            f" and max_scale_out is {bounds.max_scale_out}."
        )
    return specs


def _first_decision(execution: ApplicationExecution, initial: InitialScaleOut) -> ScalingDecision:
    forecast = initial.predicted_runtime_seconds
    return ScalingDecision(
        id=str(ObjectId()),
        application_execution_id=execution.id,
        job_id=-1,
        elapsed_seconds=0.0,
        current_scale_out=execution.worker_specs.scale_out,
        target_seconds=execution.global_specs.max_runtime,
        candidates=[]
        if forecast is None
        else [CandidateForecast(scale_out=initial.scale_out, remaining_seconds=forecast)],
        chosen_scale_out=initial.scale_out,
        reason=initial.reason,
    )
