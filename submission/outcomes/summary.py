"""What the service was worth lately: targets met and executor-hours, beside those of a static choice."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pydantic import BaseModel

from common.executions.documents import ApplicationExecution, ApplicationState, ScalingDecision
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.mongo.document import UtcTime

MOST_RUNS = 2000
"""That one summary reads."""


class AlgorithmSummary(BaseModel):
    """The completed runs of one algorithm; figures of a static choice are by the model's first forecast."""

    algorithm_name: str
    completed: int = 0
    targets_met: int = 0
    failed: int = 0
    """Also submissions that no platform took. Killed ones are nobody's fault and not counted, nor those of
    which nobody knows how they ended."""
    measured: int = 0
    """Completed runs whose jobs were reported: nothing is known of the executors of others."""
    executor_hours: float = 0.0
    """Of the runs that were measured."""
    compared: int = 0
    """Of these, runs that a static choice is known for: the first one, kept to the end."""
    compared_executor_hours: float = 0.0
    static_executor_hours: float = 0.0
    """What the static choice would have taken, at the median."""
    compared_targets_met: int = 0
    static_targets_met: float | None = None
    """How many targets it would have met, as the chances say; null where forecasts have none."""


class RunSummary(BaseModel):
    since: UtcTime
    complete: bool
    """False where there were more runs than one summary reads: the latest are counted."""
    algorithms: list[AlgorithmSummary]
    """By name."""


async def summarize(executions: ExecutionRepository, since: datetime) -> RunSummary:
    """Runs that were submitted since then and have ended, by algorithm."""
    ended = [state for state in ApplicationState if state.is_final and state is not ApplicationState.KILLED]
    found = await executions.newest(ExecutionFilter(states=ended, created_from=since), limit=MOST_RUNS + 1)
    runs = found[:MOST_RUNS]
    ids = [run.id for run in runs if run.state is ApplicationState.COMPLETED]
    scale_outs = await executions.mean_scale_outs(ids)
    first = await executions.first_decisions(ids)
    return RunSummary(
        since=since,
        complete=len(found) <= MOST_RUNS,
        algorithms=summarize_runs(runs, scale_outs, first),
    )


def summarize_runs(
    runs: Iterable[ApplicationExecution],
    scale_outs: Mapping[str, float],
    first_decisions: Mapping[str, ScalingDecision],
) -> list[AlgorithmSummary]:
    """By algorithm; pure.

    Args:
        scale_outs: Mean executors over the jobs of a run, by its id.
        first_decisions: Choices before the run with their candidates, by its id.
    """
    summaries: dict[str, AlgorithmSummary] = {}
    for run in runs:
        name = run.global_specs.algorithm_name
        summary = summaries.setdefault(name, AlgorithmSummary(algorithm_name=name))
        if run.state is not ApplicationState.COMPLETED:
            summary.failed += not run.outcome_unknown
        elif run.runtime_seconds is not None:
            _add(summary, run, run.runtime_seconds, scale_outs.get(run.id), first_decisions.get(run.id))
    return [summaries[name] for name in sorted(summaries)]


def _add(
    summary: AlgorithmSummary,
    run: ApplicationExecution,
    runtime_seconds: float,
    scale_out: float | None,
    first: ScalingDecision | None,
) -> None:
    met = bool(run.target_met)
    summary.completed += 1
    summary.targets_met += met
    if scale_out is None:
        return
    summary.measured += 1
    hours = scale_out * runtime_seconds / 3600
    summary.executor_hours += hours
    if first is None:
        return
    if (static := first.find_candidate(first.chosen_scale_out)) is None:
        return
    summary.compared += 1
    summary.compared_executor_hours += hours
    summary.compared_targets_met += met
    summary.static_executor_hours += static.executor_seconds / 3600
    chance = static.within(first.target_seconds).probability
    if chance is not None:
        summary.static_targets_met = (summary.static_targets_met or 0.0) + chance
