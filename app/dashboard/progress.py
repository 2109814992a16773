"""How a run stands against its runtime target."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common.executions.documents import ApplicationExecution, ScalingDecision


@dataclass(frozen=True)
class Progress:
    """Seconds from the first driver's start: real ones of a run that has ended, otherwise as projected.

    Attributes:
        target_seconds: For the whole application.
        runtime_seconds: Of a run that has ended.
        met: Whether a completed run met its target; None: no verdict.
        projected_seconds: Median of the whole runtime, by the latest decision; or what it has taken already.
        is_overdue: Whether it has taken longer than was expected: it takes at least `projected_seconds`.
        lower_seconds: With `upper_seconds` the interval that holds it with a probability of 90%.
        probability: Of meeting the target.
        projected_end: When it should end.
        scale_out: Executors at present, or at the end.
    """

    target_seconds: float
    runtime_seconds: float | None = None
    met: bool | None = None
    projected_seconds: float | None = None
    is_overdue: bool = False
    lower_seconds: float | None = None
    upper_seconds: float | None = None
    probability: float | None = None
    projected_end: datetime | None = None
    scale_out: int | None = None

    @property
    def is_late(self) -> bool:
        """Whether it is expected, more likely than not, to miss its target."""
        return self.projected_seconds is not None and self.projected_seconds > self.target_seconds


def progress_of(execution: ApplicationExecution, latest: ScalingDecision | None, now: datetime) -> Progress:
    """As far as is known.

    Args:
        latest: The run's latest decision, with candidates.
    """
    target = execution.global_specs.max_runtime
    reported = execution.end_scale_out or execution.start_scale_out or execution.initial_scale_out
    if not execution.goes_on:
        runtime, met = execution.runtime_seconds, execution.target_met
        return Progress(target, runtime_seconds=runtime, met=met, scale_out=reported)
    started_at = execution.started_at
    elapsed = 0.0 if started_at is None else (now - started_at).total_seconds()
    projected = _projected(execution, latest, Progress(target, scale_out=reported))
    expected = projected.projected_seconds
    if elapsed <= (target if expected is None else min(target, expected)):
        return projected
    if expected is not None and elapsed < expected:
        return replace(projected, probability=None)  # the target has passed
    return Progress(target, projected_seconds=elapsed, is_overdue=True, scale_out=reported)


def _projected(
    execution: ApplicationExecution, latest: ScalingDecision | None, progress: Progress
) -> Progress:
    """The same with what the latest decision expects, if it is about the present driver."""
    candidate = latest.find_candidate(latest.effective_scale_out) if latest else None
    replaced = latest is not None and latest.application_id not in (None, execution.application_id)
    if latest is None or candidate is None or replaced:
        return progress
    elapsed = latest.elapsed_seconds
    expected = candidate.within(latest.target_seconds - elapsed)
    seconds = elapsed + expected.remaining_seconds
    return replace(
        progress,
        projected_seconds=seconds,
        lower_seconds=_after(elapsed, expected.lower_seconds),
        upper_seconds=_after(elapsed, expected.upper_seconds),
        probability=expected.probability,
        projected_end=_moment(execution.started_at, seconds),
    )


def _moment(started_at: datetime | None, seconds: float) -> datetime | None:
    """None where it is not known, or lies beyond all times: clocks of drivers may say anything."""
    try:
        return started_at and started_at + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _after(elapsed_seconds: float, remaining_seconds: float | None) -> float | None:
    return None if remaining_seconds is None else elapsed_seconds + remaining_seconds
