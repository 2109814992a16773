"""One online recommendation, from the reported job to the stored decision."""

import asyncio
import logging

from pymongo.errors import PyMongoError

from common.beside import beside
from common.errors import ServiceError
from common.executions.candidate import candidate_scale_outs
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.instruments import NONE, Instruments, source_label, unscraped
from common.models.artifacts import StoreUnavailable
from common.timing import FAILED, Timing
from common.wire.events import FEW_STAGES, JobEnded, PredictionRequest, event_of
from common.wire.recommendation import Recommendation
from prediction.decisions import (
    Progress,
    scale_out_of,
    situation_of,
    to_decision,
    to_recommendation,
    why_left_alone,
)
from prediction.forecaster import Forecaster
from prediction.policies.policy import Policy
from prediction.policies.registry import Policies
from training.history.from_documents import to_run_record

logger = logging.getLogger(__name__)


class Predictor:
    """Knows the order: store, read, forecast, choose, store."""

    def __init__(
        self,
        executions: ExecutionRepository,
        forecaster: Forecaster,
        policies: Policies,
        instruments: Instruments | None = None,
    ) -> None:
        self._executions = executions
        self._forecaster = forecaster
        self._policies = policies
        self._instruments = instruments or unscraped()

    async def recommend(self, request: PredictionRequest) -> Recommendation:
        """Store the reported event, then recommend a scale-out for the jobs that are left.

        Once the event is stored the answer is a recommendation, or the reason for none.

        Raises:
            ApplicationExecutionNotFound: Nothing was stored.
            StoreUnavailable: The event is stored (the problem's member `stored` says so), but the
                model is not in memory and cannot be read now.
        """
        timing = self._instruments.recommendation()
        event = await event_of(request)
        with timing.phase("store"):
            execution = await self._executions.apply_event(request.application_execution_id, event)
        if not isinstance(event, JobEnded):
            return Recommendation(reason="only the end of a job is followed by a recommendation")
        if not request.predict:
            return Recommendation(reason="no prediction was asked for")
        if why := why_left_alone(execution, event):
            return Recommendation(reason=why)
        try:
            policy = self._policies.get(execution.global_specs.solution_name)
            if not policy.rescales:
                return Recommendation(reason="a static solution is never rescaled")
            with timing:
                return await self._recommend(policy, execution, event, timing)
        except StoreUnavailable as error:
            error.members = {"stored": True}
            raise
        except (ServiceError, PyMongoError) as error:
            logger.warning(
                "Execution %s: no recommendation after job %d: %s", execution.id, event.job_id, error
            )
            return Recommendation(reason=f"the forecast failed: {error}")
        except Exception:  # the event is stored, and the application goes on without advice
            logger.exception("Execution %s: no recommendation after job %d", execution.id, event.job_id)
            return Recommendation(reason="the forecast failed; the service's log says why")

    async def _recommend(
        self, policy: Policy, execution: ApplicationExecution, event: JobEnded, timing: Timing
    ) -> Recommendation:
        known = execution.global_specs
        with timing.phase("read"):
            jobs, model, before = await asyncio.gather(
                self._executions.jobs_so_far(execution.id, event.application_id),
                self._forecaster.model_for(policy.method, known),
                self._executions.find_latest_decision(execution.id, event.application_id),
            )
            are_large = sum(len(job.stages) for job in jobs) > FEW_STAGES
            run = (
                await beside(to_run_record, execution, jobs) if are_large else to_run_record(execution, jobs)
            )
        latest = jobs[-1]
        current_scale_out = scale_out_of(execution, latest)
        # A late report about an earlier job is answered with what is left now.
        with timing.phase("forecast"):
            found = await self._forecaster.during_run(
                policy.method,
                model,
                known,
                run,
                candidate_scale_outs(
                    known.min_scale_out, execution.max_scale_out_in_effect or known.max_scale_out
                ),
                after_job_id=latest.job_id,
                current_scale_out=current_scale_out,
            )
        timing.spent(
            wait=found.wait_seconds, fine_tune=found.fine_tune_seconds, predict=found.predict_seconds
        )
        if not found.job_ids:
            timing.answered_by = FAILED if found.remark else NONE
            return Recommendation(reason=found.remark or found.reason or "no job is left")
        with timing.phase("decide"):
            progress = Progress(
                execution=execution,
                latest_job_id=latest.job_id,
                elapsed_seconds=execution.earlier_seconds + max(job.end_seconds for job in run.jobs),
                current_scale_out=current_scale_out,
                before=before,
            )
            situation = situation_of(found, progress)
            choice = policy.next(situation)
            decision = to_decision(choice, situation, found, progress, timing.elapsed_seconds)
            await self._executions.insert_decision(decision)
        timing.answered_by = source_label(found.source)
        logger.info(
            "Execution %s: after job %d at %.1f s, scale-out %d -> %d (%s)",
            execution.id,
            event.job_id,
            progress.elapsed_seconds,
            current_scale_out,
            choice.scale_out,
            decision.reason,
        )
        return to_recommendation(decision, found)
