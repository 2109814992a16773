"""The scale-out that an application starts with, chosen from earlier runs."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.settings.prediction import PredictionSettings
from common.wire.specs import ApplicationSpecs
from prediction.forecasts.by_curve import CURVES, Curve
from prediction.forecasts.candidate import RuntimeForecast, candidate_scale_outs
from prediction.forecasts.forecaster import Forecaster, options
from prediction.forecasts.whole_run import CONTEXT_MODEL, SIMILAR_RUNS, WholeRunForecast
from prediction.policies.rule import rule_of
from prediction.policies.scale_out import ScaleOutRule, choose_scale_out
from prediction.policies.solutions import by_medians
from prediction.serving.worker_pool import WorkerFailed
from training.history.from_documents import to_run_context
from training.history.values import RunRecord

logger = logging.getLogger(__name__)

INTERVAL_END = 0.95
"""Probability of staying below the upper end of an interval, and above the lower one."""


@dataclass(frozen=True)
class ScaleOutOption:
    """What is expected of a run that keeps one scale-out to its end."""

    scale_out: int
    runtime_seconds: float
    """Of the whole application, median."""
    lower_seconds: float
    upper_seconds: float
    """Ends of the interval that holds the runtime with a probability of 90%."""
    probability: float
    """Of meeting the runtime target."""
    executor_seconds: float
    """The price, at the median."""


@dataclass(frozen=True)
class InitialScaleOut:
    """With how many executors an application starts, and why."""

    scale_out: int
    reason: str
    predicted_runtime_seconds: float | None = None
    """Of the whole application; None where nothing could be predicted."""
    options: tuple[ScaleOutOption, ...] = ()
    """Of every candidate, by scale-out; empty where nothing could be predicted."""
    feasible: bool | None = None
    """Whether any candidate is expected to meet the target: more likely than not. None: unknown."""
    fastest_runtime_seconds: float | None = None
    """Smallest median of all candidates."""
    nearest_feasible_target_seconds: float | None = None
    """Smallest target that a candidate meets with the confidence that is asked for."""
    source: str | None = None
    """Id of the model version, `similar-runs`, `context-model`, or the name of a baseline."""
    runs: int = 0
    """Earlier runs that the forecast was learned from."""


def initial_scale_out(
    forecasts: Sequence[RuntimeForecast],
    target_seconds: float,
    rule: ScaleOutRule,
    *,
    source: str,
    runs: int,
    how: str,
    margin: float = 1.0,
) -> InitialScaleOut:
    """Choose before the run, and say what was there to choose from; pure.

    Args:
        forecasts: Of whole runs, at least one.
        target_seconds: For the whole application.
        how: What the forecasts are by, in words.
        margin: Share of the target that the choice is made for.
    """
    choice = choose_scale_out(forecasts, margin * target_seconds, rule)
    fastest = min(forecast.remaining_seconds for forecast in forecasts)
    options = tuple(
        ScaleOutOption(
            scale_out=forecast.scale_out,
            runtime_seconds=forecast.remaining_seconds,
            lower_seconds=forecast.bound_seconds(1 - INTERVAL_END),
            upper_seconds=forecast.bound_seconds(INTERVAL_END),
            probability=forecast.chance_within(target_seconds),
            executor_seconds=forecast.executor_seconds,
        )
        for forecast in sorted(forecasts, key=lambda forecast: forecast.scale_out)
    )
    chance = ""
    if not choice.meets_target:
        best = max(option.probability for option in options)
        chance = f", the best chance of {target_seconds:g} s is {best:.0%}"
    return InitialScaleOut(
        choice.forecast.scale_out,
        f"{choice.reason}{chance} (by {how})",
        choice.forecast.remaining_seconds,
        options=options,
        feasible=fastest <= target_seconds,
        fastest_runtime_seconds=fastest,
        nearest_feasible_target_seconds=min(
            forecast.needed_seconds(rule.confidence) for forecast in forecasts
        )
        / margin,
        source=source,
        runs=runs,
    )


class InitialScaleOutChooser:
    """By what knows such runs best (`prediction.forecasts.whole_run`), or as a baseline would."""

    def __init__(self, forecaster: Forecaster, settings: PredictionSettings) -> None:
        self._forecaster = forecaster
        self._rule = rule_of(settings)
        self._static_margin = settings.static_margin

    async def choose(self, specs: ApplicationSpecs) -> InitialScaleOut:
        """Never fails: where the forecast does, Ernest's curves or the requested scale-out are left."""
        known = specs.global_specs
        try:
            history = await self._forecaster.history(known)
            if known.solution_name in CURVES:
                return await self._by_curve(
                    CURVES[known.solution_name], specs, history, by_medians(self._rule)
                )
            try:
                return await self._by_whole_runs(specs, history)
            except WorkerFailed as error:
                logger.warning("A first scale-out of %s by curves: %s", known.algorithm_name, error)
                failed = f"the forecast failed: {error}"
                return await self._by_curve(CURVES["ellis"], specs, history, self._rule, failed)
        except (ServiceError, PyMongoError) as error:
            logger.warning("No forecast for a first scale-out of %s: %s", known.algorithm_name, error)
            return self._requested(specs, f"the forecast failed: {error}")

    async def _by_whole_runs(self, specs: ApplicationSpecs, history: Sequence[RunRecord]) -> InitialScaleOut:
        known = specs.global_specs
        candidates = candidate_scale_outs(known.min_scale_out, known.max_scale_out)
        found = await self._forecaster.whole_run(known, history, to_run_context(specs), candidates)
        if not found.candidates:
            return self._requested(specs, found.reason)
        with_margin = known.solution_name == "static_margin"
        return initial_scale_out(
            found.options(),
            known.max_runtime,
            by_medians(self._rule) if with_margin else self._rule,
            source=found.source,
            runs=found.runs,
            how=_how(found),
            margin=self._static_margin if with_margin else 1.0,
        )

    async def _by_curve(
        self,
        curve: Curve,
        specs: ApplicationSpecs,
        history: Sequence[RunRecord],
        rule: ScaleOutRule,
        remark: str = "",
    ) -> InitialScaleOut:
        """By curves over the runs in the nearest contexts; `remark` says why, where that is not asked for."""
        known = specs.global_specs
        if not history:
            missing = f"no finished run of {known.algorithm_name} is known"
            return self._requested(specs, remark or missing)
        candidates = candidate_scale_outs(known.min_scale_out, known.max_scale_out)
        run = RunRecord(run_id="", context=to_run_context(specs), started_at=0.0)
        curves = await self._forecaster.by_curve(curve.name, history, run, candidates)
        if curves.forecast is None:
            return self._requested(specs, remark or curves.reason)
        return initial_scale_out(
            options(curves.forecast),
            known.max_runtime,
            rule,
            source="ernest" if remark else known.solution_name,
            runs=len(history),
            how="; ".join(filter(None, (f"{curve.label}, {_counted(len(history))}", remark))),
        )

    def _requested(self, specs: ApplicationSpecs, why: str) -> InitialScaleOut:
        known = specs.global_specs
        requested = min(max(specs.worker_specs.scale_out, known.min_scale_out), known.max_scale_out)
        return InitialScaleOut(requested, f"no prediction: {why}; the scale-out is the requested one")


def _how(found: WholeRunForecast) -> str:
    names = {SIMILAR_RUNS: "similar runs", CONTEXT_MODEL: "the context model"}
    errors = ", ".join(
        f"{names.get(source, source)} {math.expm1(std):.0%}" for source, std in found.left_out_errors
    )
    parts = [
        f"{names.get(found.source, 'the model')}, {_counted(found.runs)}",
        found.reason,
        f"usual errors on runs left out: {errors}" if errors else "",
    ]
    return "; ".join(filter(None, parts))


def _counted(runs: int) -> str:
    return f"from {runs} {'run' if runs == 1 else 'runs'}"
