"""The scale-out that an application starts with, chosen from earlier runs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.configuration import PredictionSettings
from common.errors import ServiceError
from common.executions import ExecutionRepository
from common.specs import ApplicationSpecs
from prediction.forecast import Forecast, ForecastRequest, forecast
from prediction.models import Models
from prediction.predictor import HISTORY_RUNS
from prediction.scale_out import RuntimeForecast, candidate_scale_outs, choose_scale_out
from prediction.scale_out_curves import ErnestRequest, forecast_with_ernest
from prediction.worker import WorkerFailed, WorkerPool
from training.history import RunRecord
from training.records import to_run_context, to_run_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitialScaleOut:
    scale_out: int
    reason: str
    predicted_runtime_seconds: float | None = None
    """Of the whole application; None where nothing could be predicted."""


class InitialScaleOutChooser:
    """Ernest's curve for the first job, the model for the rest; without history, what was requested.

    The graph model forecasts jobs from the metrics of those before them, of which there are none
    before the first; Ernest's curve needs only earlier runtimes. Without a trained model the curves
    of all jobs, one by one, take its place.
    """

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

    async def choose(self, specs: ApplicationSpecs) -> InitialScaleOut:
        """Never fails: where the forecast does, the requested scale-out is what is left."""
        known = specs.global_specs
        requested = min(max(specs.worker_specs.scale_out, known.min_scale_out), known.max_scale_out)
        try:
            found = await self._executions.finished_runs(
                known.system_name, known.algorithm_name, HISTORY_RUNS
            )
            if not found:
                return InitialScaleOut(
                    requested, f"requested: no finished run of {known.algorithm_name} is known"
                )
            history = [to_run_record(execution, jobs) for execution, jobs in found]
            return await self._from_history(specs, history)
        except (ServiceError, PyMongoError) as error:
            logger.warning("No forecast for a first scale-out of %s: %s", known.algorithm_name, error)
            return InitialScaleOut(requested, f"requested: the forecast failed: {error}")

    async def _from_history(self, specs: ApplicationSpecs, history: Sequence[RunRecord]) -> InitialScaleOut:
        known = specs.global_specs
        candidates = candidate_scale_outs(known.min_scale_out, known.max_scale_out)
        run = RunRecord(run_id="", context=to_run_context(specs), started_at=0.0)
        curves = await self._pool.run(
            forecast_with_ernest,
            ErnestRequest(
                history=tuple(history), context=run.context, after_job_id=-1, candidates=candidates
            ),
        )
        if not curves.job_ids:
            raise WorkerFailed(curves.reason or "the history has no jobs")
        found, source = curves, "Ernest's curves"
        totals = [remaining[0] for remaining in curves.remaining_seconds]
        if known.solution_name != "ellis" and (rest := await self._forecast(specs, run, candidates)):
            found, source = rest, "Ernest's curve for the first job, the model for the rest"
            totals = [
                first + from_second
                for first, from_second in zip(
                    _first_job_seconds(curves), _from_second_job_seconds(rest), strict=True
                )
            ]
        options = [
            RuntimeForecast(scale_out, seconds, log_std)
            for scale_out, seconds, log_std in zip(candidates, totals, found.log_error_stds, strict=True)
        ]
        choice = choose_scale_out(options, known.max_runtime, confidence=self._settings.target_confidence)
        return InitialScaleOut(
            choice.forecast.scale_out,
            f"{choice.reason} (by {source}, from {len(history)} runs)",
            choice.forecast.remaining_seconds,
        )

    async def _forecast(
        self, specs: ApplicationSpecs, run: RunRecord, candidates: tuple[int, ...]
    ) -> Forecast | None:
        """The model's forecast before the run, where there is a model."""
        model = await self._models.find(specs.global_specs.system_name, specs.global_specs.algorithm_name)
        if model is None:
            return None
        request = ForecastRequest(
            files=dict(model.files),
            artifact_key=model.key,
            run=run,
            after_job_id=-1,
            current_scale_out=0,
            candidates=candidates,
            fine_tune=False,
        )
        found = await self._pool.run(forecast, request)
        return found if found.job_ids else None


def _first_job_seconds(found: Forecast) -> list[float]:
    """From the application's start to the end of its first job, per candidate."""
    return [row[0] - (row[1] if len(row) > 1 else 0.0) for row in found.remaining_seconds]


def _from_second_job_seconds(found: Forecast) -> list[float]:
    return [row[1] if len(row) > 1 else 0.0 for row in found.remaining_seconds]
