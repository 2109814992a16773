"""Forecasts of a run, by the model, by similar runs or by curves, from a worker process."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.executions.repository import ExecutionRepository
from common.models.artifacts import StoreUnavailable
from common.wire.specs import GlobalSpecs
from prediction.forecasts.by_curve import CurveName, CurveRequest, forecast_with_curve
from prediction.forecasts.candidate import RuntimeForecast
from prediction.forecasts.forecast import Forecast, ForecastRequest, forecast
from prediction.forecasts.whole_run import (
    MODEL,
    WholeRunForecast,
    WholeRunRequest,
    answer_whole_run,
    forecast_whole_run,
)
from prediction.serving.models import Models
from prediction.serving.worker_pool import WorkerPool
from training.history.from_documents import to_run_record
from training.history.values import RunContext, RunRecord

logger = logging.getLogger(__name__)

HISTORY_RUNS = 60
"""Most recent runs that curves are fitted to; a model holds what it needs of its own history."""


@dataclass(frozen=True)
class SourcedForecast:
    """What a model or a curve says, or why it says nothing."""

    forecast: Forecast | None = None
    reason: str = ""
    """Why there is no forecast."""
    source: str | None = None
    """Id of the model version, `ernest` or `bell`."""


class Forecaster:
    """Finds the model or the history, and lets a worker compute."""

    def __init__(self, executions: ExecutionRepository, models: Models, pool: WorkerPool) -> None:
        self._executions = executions
        self._models = models
        self._pool = pool

    async def history(self, known: GlobalSpecs) -> list[RunRecord]:
        """The algorithm's most recent finished runs, oldest first."""
        found = await self._executions.finished_runs(known.system_name, known.algorithm_name, HISTORY_RUNS)
        return [to_run_record(execution, jobs) for execution, jobs in found]

    async def by_model(
        self,
        known: GlobalSpecs,
        run: RunRecord,
        candidates: tuple[int, ...],
        *,
        after_job_id: int = -1,
        current_scale_out: int = 0,
    ) -> SourcedForecast:
        """By the algorithm's current model; fine-tuned to the run if any job has finished.

        Raises:
            StoreUnavailable: The model is not in memory and cannot be read now.
            WorkerFailed: The computation failed or took too long.
        """
        model = await self._models.find(known.system_name, known.algorithm_name)
        if model is None:
            return SourcedForecast(reason=f"no model is trained for {known.algorithm_name!r} yet")
        request = ForecastRequest(
            files=dict(model.files),
            artifact_key=model.version.artifact_key,
            run=run,
            after_job_id=after_job_id,
            current_scale_out=current_scale_out,
            candidates=candidates,
            fine_tune=bool(run.jobs),
        )
        return _sourced(await self._pool.run(forecast, request), model.version.id)

    async def whole_run(
        self,
        known: GlobalSpecs,
        history: Sequence[RunRecord],
        context: RunContext,
        candidates: tuple[int, ...],
    ) -> WholeRunForecast:
        """Before the run, by whatever knows such runs best; `source` names the version if it is a model.

        A model that cannot be read now is done without: the history itself is at hand.

        Raises:
            WorkerFailed: The computation failed or took too long.
        """
        try:
            model = await self._models.find(known.system_name, known.algorithm_name)
        except StoreUnavailable as error:
            logger.warning(
                "A first scale-out of %s is chosen without a model: %s", known.algorithm_name, error
            )
            model = None
        if model is None and not history:  # a worker may still be starting, and has nothing to add
            return forecast_whole_run((), None, context, candidates)
        request = WholeRunRequest(
            history=tuple(history),
            context=context,
            candidates=candidates,
            files=dict(model.files) if model else None,
            artifact_key=model.version.artifact_key if model else "",
        )
        found = await self._pool.run(answer_whole_run, request)
        return replace(found, source=model.version.id) if model and found.source == MODEL else found

    async def by_curve(
        self,
        name: CurveName,
        history: Sequence[RunRecord],
        run: RunRecord,
        candidates: tuple[int, ...],
        *,
        after_job_id: int = -1,
    ) -> SourcedForecast:
        """By curves over earlier runs; `source` is whose they are.

        Raises:
            WorkerFailed: The computation failed or took too long.
        """
        request = CurveRequest(
            name=name,
            history=tuple(history),
            context=run.context,
            after_job_id=after_job_id,
            candidates=candidates,
        )
        source = "ernest" if name == "ernest-per-job" else name
        return _sourced(await self._pool.run(forecast_with_curve, request), source)


def options(found: Forecast, totals: Sequence[float] | None = None) -> list[RuntimeForecast]:
    """What there is to choose from: per candidate everything that is left, or the totals given."""
    seconds = [remaining[0] for remaining in found.remaining_seconds] if totals is None else totals
    columns = zip(found.candidates, seconds, found.spreads, strict=True)
    return [RuntimeForecast(scale_out, left, *spread) for scale_out, left, spread in columns]


def _sourced(found: Forecast, source: str) -> SourcedForecast:
    if not found.job_ids:
        return SourcedForecast(reason=found.reason or "no job is left", source=source)
    return SourcedForecast(forecast=found, source=source)
