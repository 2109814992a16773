"""Why an application has the executors it has: decisions, and what became of them.

Whether Spark carried a decision out is derived from the jobs and stages that the listener reported,
each with its executors at the start and at the end. It is derived when somebody asks, and not
stored: reports come late, twice and in any order, and what is derived from all of them is right
however they came.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from common.executions.candidate import Candidate
from common.executions.documents import (
    ApplicationExecution,
    ApplicationState,
    JobSummary,
    ScalingDecision,
    StageSpan,
)
from common.mongo.document import UtcTime

_CLOCKS_DIFFER = timedelta(minutes=1)
"""A decision that is older than the driver by more than that belongs to a driver before it."""


class Fulfilment(StrEnum):
    UNCHANGED = "unchanged"
    """The choice was what the run had already."""
    SHADOW = "shadow"
    """It is what would have been done: the run was left alone."""
    PENDING = "pending"
    """The run goes on, and has not reported so many executors yet."""
    CARRIED_OUT = "carried_out"
    REPLACED = "replaced"
    """Another scale-out was chosen before this one was seen."""
    NOT_CARRIED_OUT = "not_carried_out"
    """The run ended, and never reported so many executors."""
    UNKNOWN = "unknown"
    """The driver that it was made for was replaced by another attempt."""


class Outcome(BaseModel):
    """What became of a decision."""

    status: Fulfilment
    carried_out: bool | None = None
    """Null where there was nothing to do, or nobody knows yet."""
    carried_out_at: UtcTime | None = None
    """The first start or end of a job or stage with that many executors, by the driver's clock."""
    carried_out_scale_out: int | None = None
    """Executors that were reported last before another decision replaced this one."""
    actual_scale_out: int | None = None
    """Executors that the run had from then on, until another decision."""
    predicted_remaining_seconds: float | None = None
    """With the scale-out that was chosen."""
    predicted_with_actual_scale_out_seconds: float | None = None
    """With the scale-out that the run had from then on; differs where the choice was not carried out."""
    real_remaining_seconds: float | None = None
    """From the decision to the end; null unless the application completed."""


class RunTimeline:
    """A run's executors over time, as its jobs and stages reported them."""

    def __init__(self, execution: ApplicationExecution, jobs: Sequence[JobSummary]) -> None:
        starts = [job.start_time or job.end_time for job in jobs]
        self.execution = execution
        self.started_at = execution.started_at or min(starts, default=execution.created_at)
        """The first driver."""
        self.driver_started_at = execution.start_time or self.started_at
        seen: list[tuple[datetime, int]] = []
        spans: list[JobSummary | StageSpan] = [*jobs, *(span for job in jobs for span in job.spans)]
        for span in spans:
            if span.start_time is not None and span.start_scale_out is not None:
                seen.append((span.start_time, span.start_scale_out))
            if span.end_time is not None and span.end_scale_out is not None:
                seen.append((span.end_time, span.end_scale_out))
        # By time alone: where a job starts in the moment in which another ends, both were reported.
        self.seen = sorted(seen, key=lambda observation: observation[0])
        self._times = [moment for moment, _ in self.seen]

    def between(self, after: datetime, until: datetime | None) -> list[tuple[datetime, int]]:
        """What was reported later than `after`, and not later than `until`."""
        first = bisect_right(self._times, after)
        last = len(self.seen) if until is None else bisect_right(self._times, until)
        return self.seen[first:last]

    def moment_of(self, decision: ScalingDecision) -> datetime:
        """By the driver's clock: the end of the job after which it was made."""
        if decision.job_id < 0:
            return self.started_at - timedelta(milliseconds=1)
        # Versions that did not say for which driver it is counted from its start.
        began = self.driver_started_at if decision.application_id is None else self.started_at
        return began + timedelta(seconds=decision.elapsed_seconds)


def replacements(decisions: Sequence[ScalingDecision], timeline: RunTimeline) -> dict[str, datetime]:
    """When another scale-out was chosen, by the id of the decision that it replaced.

    The same one chosen again replaces nothing.

    Args:
        decisions: All of a run, in their order; candidates are not needed.
    """
    found: dict[str, datetime] = {}
    later: ScalingDecision | None = None
    for decision in reversed(decisions):
        if decision.chosen_scale_out is None:
            continue
        if later is not None and later.chosen_scale_out != decision.chosen_scale_out:
            found[decision.id] = timeline.moment_of(later)
        elif later is not None and later.id in found:
            found[decision.id] = found[later.id]
        later = decision
    return found


def outcome_of(decision: ScalingDecision, replaced_at: datetime | None, timeline: RunTimeline) -> Outcome:
    """What became of one of a run's decisions.

    Args:
        replaced_at: See `replacements`; None: it was not.
    """
    execution = timeline.execution
    chosen = decision.chosen_scale_out
    if chosen is None or _of_another_driver(decision, timeline):
        return Outcome(status=Fulfilment.UNKNOWN)
    moment = timeline.moment_of(decision)
    seen = timeline.between(moment, replaced_at)
    at = next((when for when, scale_out in seen if scale_out == chosen), None)
    last = seen[-1][1] if seen else None
    outcome = Outcome(
        status=_fulfilment(decision, execution, at is not None, replaced_at is not None),
        carried_out_at=at,
        carried_out_scale_out=last,
        predicted_remaining_seconds=_predicted(decision, chosen),
    )
    if outcome.status in (Fulfilment.UNCHANGED, Fulfilment.SHADOW):
        outcome.carried_out_at = None
    elif outcome.status is not Fulfilment.PENDING:
        outcome.carried_out = outcome.status is Fulfilment.CARRIED_OUT
    stayed = last if last is not None else decision.current_scale_out
    left_alone = outcome.carried_out is False or decision.shadow
    actual = stayed if left_alone else chosen
    outcome.actual_scale_out = actual
    outcome.predicted_with_actual_scale_out_seconds = _predicted(decision, actual)
    runtime = execution.runtime_seconds
    if execution.state is ApplicationState.COMPLETED and runtime is not None:
        elapsed = decision.elapsed_seconds
        if decision.job_id >= 0:
            elapsed = (moment - timeline.started_at).total_seconds()
        outcome.real_remaining_seconds = max(0.0, runtime - elapsed)
    return outcome


def expected_at(
    decision: ScalingDecision, replaced_at: datetime | None, timeline: RunTimeline
) -> Candidate | None:
    """What a decision expected of the executors that the run went on with, within its target then.

    None: nothing was said of so many.

    Args:
        replaced_at: See `replacements`; None: it was not.
    """
    actual = outcome_of(decision, replaced_at, timeline).actual_scale_out
    candidate = decision.find_candidate(decision.effective_scale_out if actual is None else actual)
    return candidate and candidate.within(decision.target_seconds - decision.elapsed_seconds)


def _of_another_driver(decision: ScalingDecision, timeline: RunTimeline) -> bool:
    if decision.job_id < 0:
        return False
    if decision.application_id is None:
        return decision.decided_at < timeline.driver_started_at - _CLOCKS_DIFFER
    return decision.application_id != timeline.execution.application_id


def _fulfilment(
    decision: ScalingDecision, execution: ApplicationExecution, seen: bool, replaced: bool
) -> Fulfilment:
    if decision.shadow:
        return Fulfilment.SHADOW
    if decision.job_id >= 0 and decision.chosen_scale_out == decision.current_scale_out:
        return Fulfilment.UNCHANGED
    if seen:
        return Fulfilment.CARRIED_OUT
    if replaced:
        return Fulfilment.REPLACED
    return Fulfilment.NOT_CARRIED_OUT if execution.state.is_final else Fulfilment.PENDING


def _predicted(decision: ScalingDecision, scale_out: int) -> float | None:
    candidate = decision.find_candidate(scale_out)
    return candidate.remaining_seconds if candidate else None
