"""Forecasts of a run against what came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.executions.documents import ApplicationExecution, ApplicationState, JobSummary, ScalingDecision
from submission.accuracy.documents import RunAccuracy
from submission.outcomes.outcomes import Outcome, RunTimeline, outcome_of, replacements

ERROR_LIMIT = 3.0
"""As in `training.runtime_model.evaluation`: one forecast that is far off says no more than that it is."""

LEAST_SECONDS = 1.0
"""Of a remaining runtime: a second before the end relative errors mean nothing."""


@dataclass(frozen=True)
class _Forecast:
    error: float
    covered: bool | None
    """None: it came without an interval."""


def measure(
    execution: ApplicationExecution, jobs: Sequence[JobSummary], decisions: Sequence[ScalingDecision]
) -> list[RunAccuracy]:
    """By model key; empty for a run that did not complete, and where nothing can be compared. Pure.

    Args:
        decisions: All of the run, in their order, with their candidates.
    """
    if execution.state is not ApplicationState.COMPLETED or execution.end_time is None:
        return []
    if not execution.tail_is_known:
        return []
    timeline = RunTimeline(execution, jobs)
    replaced = replacements(decisions, timeline)
    found: dict[str, list[_Forecast]] = {}
    for decision in decisions:
        outcome = outcome_of(decision, replaced.get(decision.id), timeline)
        forecast = _compared(decision, outcome, execution)
        if forecast is not None and decision.model_key is not None:
            found.setdefault(decision.model_key, []).append(forecast)
    return [
        RunAccuracy(
            id=f"{execution.id} {key}",
            application_execution_id=execution.id,
            algorithm_name=execution.global_specs.algorithm_name,
            model_key=key,
            ended_at=execution.end_time,
            forecasts=len(forecasts),
            error=sum(each.error for each in forecasts) / len(forecasts),
            with_interval=_count(each.covered is not None for each in forecasts),
            covered=_count(each.covered is True for each in forecasts),
        )
        for key, forecasts in found.items()
    ]


def _compared(
    decision: ScalingDecision, outcome: Outcome, execution: ApplicationExecution
) -> _Forecast | None:
    """None where the run had executors that nothing was said of, or was about to end.

    Nor is the choice before the run compared where more than one driver was needed: a forecast is of one.
    """
    if decision.job_id < 0 and execution.earlier_seconds:
        return None
    real = outcome.real_remaining_seconds
    if real is None or real < LEAST_SECONDS:
        return None
    candidate = decision.find_candidate(outcome.actual_scale_out)
    if candidate is None:
        return None
    expected = candidate.within(decision.target_seconds - decision.elapsed_seconds)
    error = min(abs(expected.remaining_seconds - real) / real, ERROR_LIMIT)
    lower, upper = expected.lower_seconds, expected.upper_seconds
    return _Forecast(error, None if lower is None or upper is None else lower <= real <= upper)


def _count(values: Iterable[bool]) -> int:
    return sum(values)
