"""One online recommendation, from the reported job to the stored decision."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId
from pymongo.errors import PyMongoError

from common.configuration import PredictionSettings
from common.documents import ApplicationExecution, CandidateForecast, JobExecution, ScalingDecision
from common.errors import ServiceError
from common.events import JobEnded, PredictionRequest
from common.executions import ExecutionRepository
from prediction.forecast import Forecast, ForecastRequest, forecast
from prediction.models import Models
from prediction.scale_out import Choice, RuntimeForecast, candidate_scale_outs, choose_scale_out
from prediction.scale_out_curves import ErnestRequest, forecast_with_ernest
from prediction.worker import WorkerPool
from training.history import RunRecord
from training.records import to_run_record

logger = logging.getLogger(__name__)

HISTORY_RUNS = 60
"""Most recent runs that curves are fitted to; a model holds what it needs of its own history."""


@dataclass(frozen=True)
class ScaleOutRecommendation:
    """Per remaining job the recommended scale-out, and the runtime left from that job on (seconds)."""

    scale_outs: Sequence[tuple[int, int]] = ()
    remaining_seconds: Sequence[tuple[int, float]] = ()
    reason: str = ""
    decision_id: str | None = None


@dataclass(frozen=True)
class _Forecasts:
    """What a model or a curve says, or why it says nothing."""

    forecast: Forecast | None = None
    reason: str = ""
    model_key: str | None = None


class Predictor:
    """Knows the order: store, read, forecast, choose, store."""

    def __init__(
        self,
        executions: ExecutionRepository,
        models: Models,
        pool: WorkerPool,
        settings: PredictionSettings,
    ) -> None:
        self._executions = executions
        self._models = models
        self._pool = pool
        self._settings = settings

    async def recommend(self, request: PredictionRequest) -> ScaleOutRecommendation:
        """Store the reported event, then recommend a scale-out for the jobs that are left.

        Only storing may fail: once the event is stored the answer is a recommendation or the
        reason for none.

        Raises:
            ApplicationExecutionNotFound: Nothing was stored.
        """
        received = time.perf_counter()
        event = request.event()
        execution = await self._executions.apply_event(request.application_execution_id, event)
        if not isinstance(event, JobEnded):
            return ScaleOutRecommendation(reason="only the end of a job is followed by a recommendation")
        if not request.predict:
            return ScaleOutRecommendation(reason="no prediction was asked for")
        if execution.global_specs.solution_name == "static":
            return ScaleOutRecommendation(reason="a static solution is never rescaled")
        try:
            return await self._recommend(execution, event, received)
        except (ServiceError, PyMongoError) as error:
            logger.warning(
                "Execution %s: no recommendation after job %d: %s", execution.id, event.job_id, error
            )
            return ScaleOutRecommendation(reason=f"the forecast failed: {error}")

    async def _recommend(
        self, execution: ApplicationExecution, event: JobEnded, received: float
    ) -> ScaleOutRecommendation:
        jobs = await self._executions.finished_jobs(execution.id, event.application_id)
        run = to_run_record(execution, jobs)
        current = _current_scale_out(execution, event, jobs)
        candidates = candidate_scale_outs(
            execution.global_specs.min_scale_out,
            execution.max_scale_out_in_effect or execution.global_specs.max_scale_out,
        )
        # A late report about an earlier job is answered with what is left now.
        latest_job_id = max(job.job_id for job in jobs)
        forecasts = await self._forecast(execution, run, latest_job_id, current, candidates)
        if forecasts.forecast is None:
            return ScaleOutRecommendation(reason=forecasts.reason)

        found = forecasts.forecast
        elapsed_seconds = max(job.end_seconds for job in run.jobs)
        budget_seconds = execution.global_specs.max_runtime - elapsed_seconds
        options = [
            RuntimeForecast(scale_out, remaining[0], log_std)
            for scale_out, remaining, log_std in zip(
                found.candidates, found.remaining_seconds, found.log_error_stds, strict=True
            )
        ]
        choice = choose_scale_out(
            options,
            budget_seconds,
            confidence=self._settings.target_confidence,
            current_scale_out=current,
            scale_in_confidence=self._settings.scale_in_confidence,
        )
        decision = _to_decision(
            execution,
            event,
            elapsed_seconds,
            current,
            forecasts,
            options,
            choice,
            time.perf_counter() - received,
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
            choice.reason,
        )
        return ScaleOutRecommendation(
            scale_outs=[(job_id, chosen) for job_id in found.job_ids],
            remaining_seconds=list(zip(found.job_ids, remaining, strict=True)),
            reason=choice.reason,
            decision_id=decision.id,
        )

    async def _forecast(
        self,
        execution: ApplicationExecution,
        run: RunRecord,
        after_job_id: int,
        current: int,
        candidates: tuple[int, ...],
    ) -> _Forecasts:
        known = execution.global_specs
        if known.solution_name == "ellis":
            history = await self._executions.finished_runs(
                known.system_name, known.algorithm_name, HISTORY_RUNS
            )
            request = ErnestRequest(
                history=tuple(to_run_record(earlier, jobs) for earlier, jobs in history),
                context=run.context,
                after_job_id=after_job_id,
                candidates=candidates,
            )
            found = await self._pool.run(forecast_with_ernest, request)
            return _Forecasts(found if found.job_ids else None, found.reason or "", "ernest")
        model = await self._models.find(known.system_name, known.algorithm_name)
        if model is None:
            return _Forecasts(reason=f"no model is trained for {known.algorithm_name!r} yet")
        found = await self._pool.run(
            forecast,
            ForecastRequest(
                files=dict(model.files),
                artifact_key=model.key,
                run=run,
                after_job_id=after_job_id,
                current_scale_out=current,
                candidates=candidates,
                fine_tune=True,
            ),
        )
        return _Forecasts(found if found.job_ids else None, found.reason or "", model.key)


def _current_scale_out(execution: ApplicationExecution, event: JobEnded, jobs: Sequence[JobExecution]) -> int:
    reported = [
        event.end_scale_out,
        event.start_scale_out,
        execution.start_scale_out,
        execution.initial_scale_out,
    ]
    return next((scale_out for scale_out in reported if scale_out), execution.worker_specs.scale_out)


def _to_decision(
    execution: ApplicationExecution,
    event: JobEnded,
    elapsed_seconds: float,
    current: int,
    forecasts: _Forecasts,
    options: Sequence[RuntimeForecast],
    choice: Choice,
    total_seconds: float,
) -> ScalingDecision:
    found = forecasts.forecast
    assert found is not None, "a decision needs a forecast"
    return ScalingDecision(
        id=str(ObjectId()),
        application_execution_id=execution.id,
        job_id=event.job_id,
        elapsed_seconds=elapsed_seconds,
        current_scale_out=current,
        target_seconds=execution.global_specs.max_runtime,
        model_key=forecasts.model_key,
        candidates=[
            CandidateForecast(
                scale_out=option.scale_out, remaining_seconds=option.remaining_seconds, log_std=option.log_std
            )
            for option in options
        ],
        chosen_scale_out=choice.forecast.scale_out,
        reason=choice.reason,
        remaining_jobs=list(found.job_ids),
        fine_tune_seconds=found.fine_tune_seconds,
        predict_seconds=found.predict_seconds,
        total_seconds=total_seconds,
    )
