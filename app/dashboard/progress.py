"""How a run stands against its runtime target."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.executions.documents import ApplicationExecution, ScalingDecision


@dataclass(frozen=True)
class Progress:
    """Seconds from the first driver's start: real ones of a run that has ended, otherwise as projected.

    Attributes:
        target_seconds: For the whole application.
        runtime_seconds: Of a run that has ended.
        met: Whether a completed run met its target; None: no verdict.
        projected_seconds: Median of the whole runtime, by the latest decision.
        lower_seconds: With `upper_seconds` the interval that holds it with a probability of 90%.
        probability: Of meeting the target.
        projected_end: When it should end.
        scale_out: Executors at present, or at the end.
    """

    target_seconds: float
    runtime_seconds: float | None = None
    met: bool | None = None
    projected_seconds: float | None = None
    lower_seconds: float | None = None
    upper_seconds: float | None = None
    probability: float | None = None
    projected_end: datetime | None = None
    scale_out: int | None = None

    @property
    def is_late(self) -> bool:
        """Whether it is expected, more likely than not, to miss its target."""
        return self.projected_seconds is not None and self.projected_seconds > self.target_seconds


def progress_of(execution: ApplicationExecution, latest: ScalingDecision | None) -> Progress:
    """As far as is known.

    Args:
        latest: The run's latest decision, with candidates.
    """
    target = execution.global_specs.max_runtime
    reported = execution.end_scale_out or execution.start_scale_out or execution.initial_scale_out
    if execution.state.is_final:
        runtime, met = execution.runtime_seconds, execution.target_met
        return Progress(target, runtime_seconds=runtime, met=met, scale_out=reported)
    candidate = latest.find_candidate(latest.chosen_scale_out) if latest else None
    replaced = latest is not None and latest.application_id not in (None, execution.application_id)
    if latest is None or candidate is None or replaced:
        return Progress(target, scale_out=reported)
    elapsed = latest.elapsed_seconds
    expected = candidate.within(latest.target_seconds - elapsed)
    seconds = elapsed + expected.remaining_seconds
    return Progress(
        target,
        projected_seconds=seconds,
        lower_seconds=_after(elapsed, expected.lower_seconds),
        upper_seconds=_after(elapsed, expected.upper_seconds),
        probability=expected.probability,
        projected_end=execution.started_at + timedelta(seconds=seconds) if execution.started_at else None,
        scale_out=reported,
    )


def _after(elapsed_seconds: float, remaining_seconds: float | None) -> float | None:
    return None if remaining_seconds is None else elapsed_seconds + remaining_seconds
