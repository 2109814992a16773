"""The scale-out that an application starts with, chosen from earlier runs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.configuration import PredictionSettings
from common.errors import ServiceError
from common.specs import ApplicationSpecs
from prediction.forecast import Forecast
from prediction.forecaster import Forecaster, options
from prediction.rule import rule_of
from prediction.scale_out import candidate_scale_outs, choose_scale_out
from training.history import RunRecord
from training.records import to_run_context

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InitialScaleOut:
    """With how many executors an application starts, and why."""

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

    def __init__(self, forecaster: Forecaster, settings: PredictionSettings) -> None:
        self._forecaster = forecaster
        self._rule = rule_of(settings)

    async def choose(self, specs: ApplicationSpecs) -> InitialScaleOut:
        """Never fails: where the forecast does, the requested scale-out is what is left."""
        known = specs.global_specs
        requested = min(max(specs.worker_specs.scale_out, known.min_scale_out), known.max_scale_out)
        try:
            history = await self._forecaster.history(known)
            if history:
                return await self._from_history(specs, history, requested)
            return InitialScaleOut(
                requested, f"requested: no finished run of {known.algorithm_name} is known"
            )
        except (ServiceError, PyMongoError) as error:
            logger.warning("No forecast for a first scale-out of %s: %s", known.algorithm_name, error)
            return InitialScaleOut(requested, f"requested: the forecast failed: {error}")

    async def _from_history(
        self, specs: ApplicationSpecs, history: Sequence[RunRecord], requested: int
    ) -> InitialScaleOut:
        known = specs.global_specs
        candidates = candidate_scale_outs(known.min_scale_out, known.max_scale_out)
        run = RunRecord(run_id="", context=to_run_context(specs), started_at=0.0)
        curves = await self._forecaster.by_ernest(history, run, candidates)
        if curves.forecast is None:
            return InitialScaleOut(requested, f"requested: {curves.reason}")
        choices, source = options(curves.forecast), "Ernest's curves"
        if known.solution_name != "ellis":
            rest = (await self._forecaster.by_model(known, run, candidates)).forecast
            if rest is not None:
                choices = options(rest, _joined_seconds(curves.forecast, rest))
                source = "Ernest's curve for the first job, the model for the rest"
        choice = choose_scale_out(choices, known.max_runtime, self._rule)
        return InitialScaleOut(
            choice.forecast.scale_out,
            f"{choice.reason} (by {source}, from {len(history)} runs)",
            choice.forecast.remaining_seconds,
        )


def _joined_seconds(first: Forecast, rest: Forecast) -> list[float]:
    """Per candidate: up to the end of the first job by one forecast, from there on by the other."""

    def from_second_job(remaining: Sequence[float]) -> float:
        return remaining[1] if len(remaining) > 1 else 0.0

    return [
        one[0] - from_second_job(one) + from_second_job(other)
        for one, other in zip(first.remaining_seconds, rest.remaining_seconds, strict=True)
    ]
