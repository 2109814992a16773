"""Submissions, from the request to the runner.

The order is what makes an acknowledged submission safe: everything that can be refused is refused
first; then the execution is stored together with its manifest; then the runner takes it; only
then the answer goes out. What was stored and not taken, because the service died in between, is
handed to the runner later: at the next start, by `reconcile`, or when it is submitted again.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from common.clocks import Unchanged, monotonic_seconds
from common.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from common.executions.contradictions import nowhere_found
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments, unscraped
from common.mongo.document import utc_now
from common.wire.specs import ApplicationSpecs
from submission.idempotency import SubmissionLedger
from submission.log_lines import NumberedLines
from submission.manifest.options import ManifestOptions
from submission.other_runners import OtherRunners
from submission.planning import Chooser, Plan, Planner, with_scale_out
from submission.programs.preparation import Prepared, Programs
from submission.runners import Runner
from submission.submissions import Submission, SubmitOptions, infeasible
from submission.waiting import may_wait, once_taken

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 10.0
"""How long a repeated submission waits for the answer of the first one."""

_ANSWER_POLL_SECONDS = 0.1

_ABANDONED_SECONDS = 60.0
"""After these a stored execution that no runner has taken is handed over anew: its submission died."""


class SubmissionService:
    """Submits, kills and resumes applications on one runner."""

    def __init__(
        self,
        executions: ExecutionRepository,
        ledger: SubmissionLedger,
        runner: Runner,
        others: OtherRunners,
        chooser: Chooser,
        manifest_options: ManifestOptions,
        shadow_algorithms: Collection[str] = (),
        instruments: Instruments | None = None,
        programs: Programs | None = None,
    ) -> None:
        """`programs`: what prepares programs of workspaces; None: there are none."""
        self._programs = programs
        self._executions = executions
        self._ledger = ledger
        self._runner = runner
        self._others = others
        self._instruments = instruments or unscraped()
        self._planner = Planner(
            runner.platform, runner.max_executors, chooser, manifest_options, shadow_algorithms
        )
        self._taken: dict[str, float] = {}
        """What this process has handed over, though it may still be stored as NEW, and since when: seconds
        of the monotonic clock."""
        self._waiting = Unchanged()
        """What is NEW, by id."""

    async def submit(self, specs: ApplicationSpecs, options: SubmitOptions | None = None) -> Submission:
        """Store and start an application; one that was submitted before is answered as it was.

        Raises:
            InvalidRequest: The request cannot be carried out; nothing is stored.
            IdempotencyKeyReused, NameInUse: By another request; nothing is stored. NameInUse also where
                it is not alone.
            TargetInfeasible: Only if that was asked for; nothing is stored.
            Unavailable: The platform is not in order.
        """
        with self._instruments.submissions.track_inprogress():
            return await self._submit(specs, options or SubmitOptions())

    async def _submit(self, specs: ApplicationSpecs, options: SubmitOptions) -> Submission:
        if there := await self.find_submitted(specs, options):
            return there
        key = options.idempotency_key
        specs = with_scale_out(specs)
        said = options.fingerprint(specs)
        execution, plan = await self._prepare(specs, options)
        if options.require_feasible and plan.initial.feasible is False:
            raise infeasible(plan, specs.global_specs.max_runtime)
        await self._runner.check(plan.manifest)
        decision = plan.initial.to_decision(execution)
        self._taken[execution.id] = monotonic_seconds()
        try:
            stored = await self._ledger.store(execution, decision, key=key, fingerprint=said)
        except BaseException:
            # It may be stored all the same. Then nobody was told, and `reconcile` hands it over.
            del self._taken[execution.id]
            raise
        if stored != execution.id:
            del self._taken[execution.id]
            return await self._replay(stored)
        logger.info("%s: stored, starts with %d executors", execution.id, plan.scale_out)
        response = await self._hand_over(execution, plan, key)
        if key is not None or options.name is not None:
            await self._keep_answer(execution.id, response)
        return Submission(await self._latest(execution), decision, response)

    async def find_submitted(self, specs: ApplicationSpecs, options: SubmitOptions) -> Submission | None:
        """The answer of a request that was sent before with this key or name.

        Raises:
            IdempotencyKeyReused, NameInUse: By another request.
        """
        if options.idempotency_key is None and options.name is None:
            return None
        said = options.fingerprint(with_scale_out(specs))
        there = await self._ledger.find(options.idempotency_key, options.name, said)
        return await self._replay(there) if there else None

    async def dry_run(self, specs: ApplicationSpecs, options: SubmitOptions | None = None) -> Submission:
        """What `submit` would store and create, and the platform's verdict on it; nothing is stored.

        Raises:
            InvalidRequest, TargetInfeasible, Unavailable: As `submit` does.
        """
        options = options or SubmitOptions()
        specs = with_scale_out(specs)
        execution, plan = await self._prepare(specs, options, keep=False)
        if options.require_feasible and plan.initial.feasible is False:
            raise infeasible(plan, specs.global_specs.max_runtime)
        response = await self._runner.dry_run(plan.manifest)
        if options.name is not None and (holder := await self._executions.find_named(options.name)):
            plan.warnings.append(f"{options.name!r} is the name of {holder.id}, which has not ended.")
        return Submission(execution, plan.initial.to_decision(execution), plan.warned(response))

    async def check(self, specs: ApplicationSpecs) -> None:
        """Raises InvalidRequest where `submit` would, as far as that does not depend on a forecast."""
        manifest = self._planner.check(with_scale_out(specs), str(ObjectId()))
        try:
            await self._runner.check(manifest)
        except Unavailable as error:
            logger.info("checked without the platform: %s", error)

    async def kill(self, execution_id: str, requested_by: str = "") -> ApplicationExecution:
        """End an application; one that has ended already is left as it is, unless its driver reports.

        Args:
            requested_by: Who asked, for the record.
        Raises:
            ApplicationExecutionNotFound: There is no such execution.
            Conflict: Another service's runner has it, which is not gone; or nobody knows where its driver is.
        """
        execution = await self._executions.get(execution_id)
        if execution.state.is_final and not execution.driver_reports:
            return execution
        reason = f"Killed on request of {requested_by}." if requested_by else "Killed on request."
        is_elsewhere = execution.runner != self._runner.name
        if is_elsewhere:
            await self._others.check_lost(execution)
        if requested_by:
            await self._executions.record_kill_request(execution_id, requested_by)
        if is_elsewhere:
            await self._others.end_lost(execution, reason)
        elif await self._runner.stop(execution_id, reason):
            if execution.driver_reports:
                await self._executions.record_driver_ended(execution_id, reason)
        elif execution.driver_reports:
            raise Conflict(nowhere_found(execution))
        else:  # Stored, but never handed over, or its last state is just being stored.
            await self._executions.record_state(
                execution_id, ApplicationState.KILLED, reason, fields={"end_time": utc_now()}
            )
        return await self._executions.get(execution_id)

    async def note_about(self, execution: ApplicationExecution) -> str | None:
        """What is to be known of one whose service is gone; None: nothing."""
        return await self._others.note(execution)

    async def read_log(self, execution_id: str, tail_lines: int, attempt: int | None = None) -> str | None:
        """The last lines of the driver's output; None when there are none.

        Args:
            attempt: Number, from 1, of an attempt that failed before another one began; None: the last one.
        Raises:
            ApplicationExecutionNotFound: There is no such execution.
            NotFound: There are none, and the platform says why; or another service has them.
        """
        await self._running_here(execution_id)
        return await self._runner.read_log(execution_id, tail_lines, attempt)

    async def read_lines(self, execution_id: str, offset: int) -> NumberedLines:
        """Lines of the driver's log from the one of this number on, as many as fit into an answer.

        Raises:
            ApplicationExecutionNotFound: There is no such execution.
            NotFound: Another runner than the present one has it.
        """
        execution = await self._running_here(execution_id)
        ended = execution.state.is_final  # before reading, so that nothing is written afterwards
        found = await self._runner.read_lines(execution_id, offset, ended=ended)
        return found or NumberedLines([], offset, finished=ended)

    async def follow_log(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        """The last lines of the driver's output, then every further one until the application has ended.

        Raises:
            ApplicationExecutionNotFound, NotFound: As `read_lines`.
        """
        await self._running_here(execution_id)
        return once_taken(self._executions, execution_id, self._runner.follow_log(execution_id, tail_lines))

    async def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        """As `follow_log`, from the line of this number on."""
        await self._running_here(execution_id)
        return once_taken(self._executions, execution_id, self._runner.follow_lines(execution_id, offset))

    async def _running_here(self, execution_id: str) -> ApplicationExecution:
        execution = await self._executions.get(execution_id)
        if execution.runner != self._runner.name:
            raise NotFound(f"Its log is not here: {await self._others.whereabouts(execution)}")
        return execution

    async def resume(self) -> None:
        """Hand executions from before a restart to the runner; once, before requests are served."""
        found = await self._executions.unfinished(self._runner.name)
        unfinished = [execution for execution in found if not may_wait(execution)]
        if unfinished:
            logger.info("resuming %d unfinished executions", len(unfinished))
            self._taken |= {execution.id: monotonic_seconds() for execution in unfinished}
            await self._runner.resume(unfinished)

    async def reconcile(self) -> None:
        """Hand over what was stored, but never taken; to be called from time to time."""
        stored = await self._executions.unfinished(self._runner.name, ApplicationState.NEW)
        for execution in stored:
            await self._take_up_abandoned(execution)
        new = {execution.id for execution in stored}
        # A state is never NEW again; what was stored a moment ago may be missing above.
        recent = monotonic_seconds() - _ABANDONED_SECONDS
        self._waiting.keep(new)
        self._taken = {name: since for name, since in self._taken.items() if name in new or since > recent}

    async def start_ready(self) -> None:
        """Hand over what has waited for its environment; to be called every few seconds."""
        for execution in await self._executions.unfinished(self._runner.name, ApplicationState.NEW):
            if not may_wait(execution) or execution.id in self._taken:
                continue
            try:
                if await self._is_ready(execution):
                    self._taken[execution.id] = monotonic_seconds()
                    await self._runner.resume([execution])
            except Unavailable as error:
                logger.info("%s: its environment is looked at again: %s", execution.id, error)
            except ServiceError as error:  # it never will be; others wait behind it
                ended = {"end_time": utc_now()}
                await self._executions.record_state(
                    execution.id, ApplicationState.SUBMISSION_FAILED, str(error), fields=ended
                )
                await self._ledger.release_all(execution.id)

    async def aclose(self) -> None:
        await self._runner.aclose()

    async def _is_ready(self, execution: ApplicationExecution) -> bool:
        """Whether it has what it needs to start. Raises InvalidRequest where it never will."""
        if self._programs is None or not may_wait(execution):
            return True
        readiness = await self._programs.readiness(execution)
        if readiness.failure:
            raise InvalidRequest(readiness.failure)
        return readiness.is_ready

    async def _prepare(
        self, specs: ApplicationSpecs, options: SubmitOptions, *, keep: bool = True
    ) -> tuple[ApplicationExecution, Plan]:
        execution_id = options.execution_id or str(ObjectId())
        program = await self._prepare_program(specs, options, keep)
        plan = await self._planner.plan(
            specs,
            execution_id,
            options.policy,
            options.name,
            shadow=options.shadow,
            due_at=options.scheduled_for,
        )
        fields = specs.model_dump(include=set(ApplicationSpecs.model_fields))
        execution = ApplicationExecution(
            **fields,
            id=execution_id,
            name=options.name,
            held_name=f"schedule/{options.schedule_name}" if options.alone else options.name,
            schedule_name=options.schedule_name,
            scheduled_for=options.scheduled_for,
            submitted_by=options.submitted_by,
            runner=self._runner.name,
            manifests=[plan.manifest],
            initial_scale_out=plan.scale_out,
            initial_scale_out_reason=plan.reason,
            shadow=plan.shadow,
            max_scale_out_in_effect=plan.max_scale_out,
            snapshot_id=program.snapshot_id if program else None,
            environment_id=program.environment_id if program else None,
        )
        return execution, plan

    async def _prepare_program(
        self, specs: ApplicationSpecs, options: SubmitOptions, keep: bool
    ) -> Prepared | None:
        if specs.program is None:
            return None
        if self._programs is None:
            raise InvalidRequest("program: this service has no workspaces.")
        return await self._programs.prepare(specs.program, options.submitted_by, options.since, keep=keep)

    async def _hand_over(
        self, execution: ApplicationExecution, plan: Plan, key: str | None
    ) -> dict[str, Any]:
        try:
            if not await self._is_ready(execution):
                self._taken.pop(execution.id, None)  # `start_ready` hands it over
                return plan.warned({"waits_for": "its environment"})
            return plan.warned(await self._runner.start(plan.manifest, execution.id))
        except Exception as error:
            reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
            try:
                await self._executions.record_state(
                    execution.id, ApplicationState.SUBMISSION_FAILED, reason, fields={"end_time": utc_now()}
                )
            except PyMongoError:
                self._taken.pop(execution.id, None)  # it stays NEW, and `reconcile` hands it over
                raise
            if key is not None:
                await self._ledger.release(key, execution.id)
            raise

    async def _keep_answer(self, execution_id: str, response: dict[str, Any]) -> None:
        try:
            await self._ledger.answered(execution_id, response)
        except PyMongoError as error:  # a repeated submission will be told that it is not known
            logger.warning("%s: its answer could not be stored: %s", execution_id, error)

    async def _replay(self, execution_id: str) -> Submission:
        """The answer of a submission that was sent before, which may be under way elsewhere."""
        deadline = monotonic_seconds() + _ANSWER_SECONDS
        while True:
            execution = await self._executions.get(execution_id)
            answer = await self._ledger.find_answer(execution_id)
            response = answer.response if answer else None
            if response is None and execution.state is ApplicationState.SUBMISSION_FAILED:
                await self._ledger.release_all(execution_id)
                raise Unavailable(f"{execution_id} was stored, but not taken: {execution.state_reason}")
            if response is not None or monotonic_seconds() >= deadline:
                break
            if await self._take_up_abandoned(execution):
                break
            await asyncio.sleep(_ANSWER_POLL_SECONDS)
        if response is None:
            response = {"warnings": ["What the platform answered is not known; follow the application."]}
        decision = await self._executions.find_first_decision(execution_id)
        return Submission(await self._latest(execution), decision, response, replayed=True)

    async def _take_up_abandoned(self, execution: ApplicationExecution) -> bool:
        """Whether it was for us to hand over what a submission that died had stored."""
        if (
            execution.state is not ApplicationState.NEW
            or execution.runner != self._runner.name
            or execution.id in self._taken
            or may_wait(execution)
            or self._waiting_seconds(execution) < _ABANDONED_SECONDS
        ):
            return False
        logger.warning("%s: stored, but not handed over: handed over now", execution.id)
        self._taken[execution.id] = monotonic_seconds()
        await self._runner.resume([execution])
        return True

    def _waiting_seconds(self, execution: ApplicationExecution) -> float:
        """Since it was stored, or at least since it was first seen, should a clock have been set back."""
        by_the_wall_clock = (utc_now() - execution.created_at).total_seconds()
        return max(by_the_wall_clock, self._waiting.seconds(execution.id))

    async def _latest(self, execution: ApplicationExecution) -> ApplicationExecution:
        try:
            return await self._executions.get(execution.id)
        except PyMongoError as error:  # stored and handed over: the caller must not submit again
            logger.warning("%s: answered as it was stored first: %s", execution.id, error)
            return execution
