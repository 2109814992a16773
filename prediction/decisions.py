"""Decisions as they are stored and shown, from what a choice was made of."""

from bson import ObjectId

from common.executions.documents import ApplicationExecution, CandidateForecast, ScalingDecision
from prediction.forecasts.candidate import RuntimeForecast
from prediction.initial import INTERVAL_END, InitialScaleOut


def first_decision(execution: ApplicationExecution, initial: InitialScaleOut) -> ScalingDecision:
    """The choice before the run, as it is stored."""
    candidates = [
        CandidateForecast(
            scale_out=option.scale_out,
            remaining_seconds=option.runtime_seconds,
            lower_seconds=option.lower_seconds,
            upper_seconds=option.upper_seconds,
            probability=option.probability,
        )
        for option in initial.options
    ]
    if not candidates and initial.predicted_runtime_seconds is not None:
        candidates = [
            CandidateForecast(
                scale_out=initial.scale_out, remaining_seconds=initial.predicted_runtime_seconds
            )
        ]
    chosen = next((each for each in initial.options if each.scale_out == initial.scale_out), None)
    target_seconds = execution.global_specs.max_runtime
    return ScalingDecision(
        id=str(ObjectId()),
        application_execution_id=execution.id,
        job_id=-1,
        elapsed_seconds=0.0,
        current_scale_out=execution.worker_specs.scale_out,
        target_seconds=target_seconds,
        model_key=initial.source,
        candidates=candidates,
        chosen_scale_out=initial.scale_out,
        meets_target=None if chosen is None else chosen.runtime_seconds <= target_seconds,
        reason=initial.reason,
        feasible=initial.feasible,
        fastest_runtime_seconds=initial.fastest_runtime_seconds,
        nearest_feasible_target_seconds=initial.nearest_feasible_target_seconds,
        runs=initial.runs,
    )


def completed(candidate: CandidateForecast, budget_seconds: float) -> CandidateForecast:
    """With its interval and its chance, which follow from what is stored of it."""
    if candidate.log_std is None or candidate.probability is not None:
        return candidate
    forecast = RuntimeForecast(
        candidate.scale_out, candidate.remaining_seconds, candidate.log_std, candidate.early_log_std
    )
    return candidate.model_copy(
        update={
            "lower_seconds": forecast.bound_seconds(1 - INTERVAL_END),
            "upper_seconds": forecast.bound_seconds(INTERVAL_END),
            "probability": forecast.chance_within(budget_seconds),
        }
    )
