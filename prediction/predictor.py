"""One online recommendation, from the reported job to the stored decision."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId
from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution, CandidateForecast, JobExecution, ScalingDecision
from common.executions.repository import ExecutionRepository
from common.models.artifacts import StoreUnavailable
from common.settings.prediction import PredictionSettings
from common.wire.events import JobEnded, PredictionRequest
from common.wire.specs import GlobalSpecs
from prediction.forecasts.by_curve import CURVES
from prediction.forecasts.candidate import candidate_scale_outs
from prediction.forecasts.forecaster import Forecaster, SourcedForecast, options
from prediction.policies.rule import rule_of
from prediction.policies.solutions import choose_for
from prediction.serving.worker_pool import WorkerFailed
from training.history.from_documents import to_run_record
from training.history.values import RunRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScaleOutRecommendation:
    """Per remaining job the recommended scale-out, and the runtime left from that job on (seconds)."""

    scale_outs: Sequence[tuple[int, int]] = ()
    remaining_seconds: Sequence[tuple[int, float]] = ()
    reason: str = ""
    decision_id: str | None = None


class Predictor:
    """Knows the order: store, read, forecast, choose, store."""

    def __init__(
        self, executions: ExecutionRepository, forecaster: Forecaster, settings: PredictionSettings
    ) -> None:
        self._executions = executions
        self._forecaster = forecaster
        self._rule = rule_of(settings)

    async def recommend(self, request: PredictionRequest) -> ScaleOutRecommendation:
        """Store the reported event, then recommend a scale-out for the jobs that are left.

        Once the event is stored the answer is a recommendation, or the reason for none.

        Raises:
            ApplicationExecutionNotFound: Nothing was stored.
            StoreUnavailable: The event is stored (the problem's member `stored` says so), but the
                model is not in memory and cannot be read now.
        """
        received = time.perf_counter()
        event = request.event()
        execution = await self._executions.apply_event(request.application_execution_id, event)
        if not isinstance(event, JobEnded):
            return ScaleOutRecommendation(reason="only the end of a job is followed by a recommendation")
        if not request.predict:
            return ScaleOutRecommendation(reason="no prediction was asked for")
        if execution.global_specs.is_static:
            return ScaleOutRecommendation(reason="a static solution is never rescaled")
        try:
            return await self._recommend(execution, event, received)
        except StoreUnavailable as error:
            error.members = {"stored": True}
            raise
        except (ServiceError, PyMongoError) as error:
            logger.warning(
                "Execution %s: no recommendation after job %d: %s", execution.id, event.job_id, error
            )
            return ScaleOutRecommendation(reason=f"the forecast failed: {error}")
        except Exception:  # the event is stored, and the application goes on without advice
            logger.exception("Execution %s: no recommendation after job %d", execution.id, event.job_id)
            return ScaleOutRecommendation(reason="the forecast failed; the service's log says why")

    async def _recommend(
        self, execution: ApplicationExecution, event: JobEnded, received: float
    ) -> ScaleOutRecommendation:
        jobs = await self._executions.finished_jobs(execution.id, event.application_id)
        run = to_run_record(execution, jobs)
        current = _current_scale_out(execution, jobs[-1])
        candidates = candidate_scale_outs(
            execution.global_specs.min_scale_out,
            execution.max_scale_out_in_effect or execution.global_specs.max_scale_out,
        )
        # A late report about an earlier job is answered with what is left now.
        latest_job_id = jobs[-1].job_id
        known = execution.global_specs
        sourced, failure = await self._forecast(known, run, candidates, latest_job_id, current)
        found = sourced.forecast
        if found is None:
            return ScaleOutRecommendation(reason=failure or sourced.reason)

        elapsed_seconds = max(job.end_seconds for job in run.jobs)
        before = await self._executions.find_latest_decision(execution.id)
        asked = before.chosen_scale_out if before and before.chosen_scale_out else current
        rescalings = before.rescalings if before else 0
        choice = choose_for(
            known.solution_name,
            found,
            known.max_runtime - elapsed_seconds,
            self._rule,
            current_scale_out=current,
            asked_scale_out=asked,
            rescalings=rescalings,
        )
        reason = f"{choice.reason} (by Ernest's curves; {failure})" if failure else choice.reason
        decision = ScalingDecision(
            id=str(ObjectId()),
            application_execution_id=execution.id,
            job_id=latest_job_id,
            elapsed_seconds=elapsed_seconds,
            current_scale_out=current,
            target_seconds=known.max_runtime,
            model_key=sourced.source,
            candidates=[
                CandidateForecast(
                    scale_out=option.scale_out,
                    remaining_seconds=option.remaining_seconds,
                    log_std=option.log_std,
                    early_log_std=option.early_log_std,
                )
                for option in options(found)
            ],
            chosen_scale_out=choice.forecast.scale_out,
            rescalings=rescalings + (choice.forecast.scale_out != asked),
            meets_target=choice.meets_target,
            reason=reason,
            remaining_jobs=list(found.job_ids),
            fine_tune_seconds=found.fine_tune_seconds,
            predict_seconds=found.predict_seconds,
            total_seconds=time.perf_counter() - received,
        )
        await self._executions.insert_decision(decision)
        chosen = choice.forecast.scale_out
        remaining = found.remaining_seconds[found.candidates.index(chosen)]
        logger.info(
            "Execution %s: after job %d at %.1f s, scale-out %d -> %d (%s)",
            execution.id,
            event.job_id,
            elapsed_seconds,
            current,
            chosen,
            reason,
        )
        return ScaleOutRecommendation(
            scale_outs=[(job_id, chosen) for job_id in found.job_ids],
            remaining_seconds=list(zip(found.job_ids, remaining, strict=True)),
            reason=reason,
            decision_id=decision.id,
        )

    async def _forecast(
        self,
        known: GlobalSpecs,
        run: RunRecord,
        candidates: tuple[int, ...],
        after_job_id: int,
        current_scale_out: int,
    ) -> tuple[SourcedForecast, str]:
        """As the run's solution has it; with Ernest's curves, and how it failed, where the model fails.

        Raises:
            StoreUnavailable: The model is not in memory and cannot be read now.
            WorkerFailed: The curves failed, too.
        """
        failure = ""
        if known.solution_name == "enel":
            try:
                return await self._forecaster.by_model(
                    known, run, candidates, after_job_id=after_job_id, current_scale_out=current_scale_out
                ), ""
            except WorkerFailed as error:
                logger.warning("Execution %s: the model failed: %s", run.run_id, error)
                failure = f"the forecast failed: {error}"
        history = await self._forecaster.history(known)
        curve = CURVES.get(known.solution_name, CURVES["ellis"])
        sourced = await self._forecaster.by_curve(
            curve.name, history, run, candidates, after_job_id=after_job_id
        )
        return sourced, failure


def _current_scale_out(execution: ApplicationExecution, latest_job: JobExecution) -> int:
    reported = (
        latest_job.end_scale_out,
        latest_job.start_scale_out,
        execution.start_scale_out,
        execution.initial_scale_out,
    )
    return next((scale_out for scale_out in reported if scale_out), execution.worker_specs.scale_out)
