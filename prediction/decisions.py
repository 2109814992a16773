"""Decisions about a run in progress: from a forecast to what is stored and answered."""

from dataclasses import dataclass

from bson import ObjectId

from common.executions.documents import ApplicationExecution, JobExecution, ScalingDecision
from common.wire.events import JobEnded
from common.wire.recommendation import Recommendation
from prediction.forecasts.forecast import Forecast
from prediction.policies.policy import Choice, Situation


@dataclass(frozen=True)
class Progress:
    """Where a run is when a decision about it is made."""

    execution: ApplicationExecution
    latest_job_id: int
    elapsed_seconds: float
    """Since the first driver of the application started."""
    current_scale_out: int
    before: ScalingDecision | None
    """The decision before this one for the same driver, or the one before the run."""

    @property
    def budget_seconds(self) -> float:
        """What is left of the runtime target; negative when it has passed."""
        return self.execution.global_specs.max_runtime - self.elapsed_seconds

    @property
    def asked_scale_out(self) -> int:
        """What was asked for last during the run, or else what the run has."""
        before = self.before
        if before is None or before.job_id < 0 or not before.chosen_scale_out or self.execution.shadow:
            return self.current_scale_out
        return before.chosen_scale_out

    @property
    def rescalings(self) -> int:
        """How many the driver was asked for so far."""
        return self.before.rescalings if self.before else 0


def why_left_alone(execution: ApplicationExecution, event: JobEnded) -> str | None:
    """Why nothing is decided for the driver that asks; None: it is the one that runs the application.

    Args:
        execution: With the event stored.
    """
    if execution.state.is_final:
        return (
            f"the application execution has ended ({execution.state}), although a driver of it still reports"
        )
    if event.application_id != execution.application_id:
        return f"another driver of this application execution is in charge: {execution.application_id}"
    return None


def situation_of(found: Forecast, progress: Progress) -> Situation:
    """What a policy is asked about.

    Args:
        found: What is left of the run, with at least one job and one candidate.
    """
    return Situation(
        candidates=found.choices(progress.budget_seconds),
        budget_seconds=progress.budget_seconds,
        current_scale_out=progress.current_scale_out,
        asked_scale_out=progress.asked_scale_out,
        rescalings=progress.rescalings,
        seen_scale_out=_most_seen(found, progress.before),
        after_next_job_seconds=found.after_next_job_seconds,
        memory=progress.before.policy_memory if progress.before else {},
    )


def _most_seen(found: Forecast, before: ScalingDecision | None) -> int | None:
    """Most executors of any known run: a model knows those that it was trained on, and no others."""
    known = (found.seen_scale_out, before.seen_scale_out if before else None)
    return max((each for each in known if each is not None), default=None)


def to_decision(
    choice: Choice, situation: Situation, found: Forecast, progress: Progress, total_seconds: float
) -> ScalingDecision:
    """A choice as it is stored, with what it was made from.

    Args:
        total_seconds: From the request's arrival until now.
    """
    reason, shadow = choice.reason, progress.execution.shadow
    if found.remark:
        reason = f"{reason} (by Ernest's curves; {found.remark})"
    if found.note:
        reason = f"{reason}; {found.note}"
    return ScalingDecision(
        id=str(ObjectId()),
        application_execution_id=progress.execution.id,
        application_id=progress.execution.application_id,
        job_id=progress.latest_job_id,
        elapsed_seconds=progress.elapsed_seconds,
        current_scale_out=progress.current_scale_out,
        target_seconds=progress.execution.global_specs.max_runtime,
        model_key=found.source,
        candidates=list(situation.candidates),
        chosen_scale_out=choice.scale_out,
        rescalings=0 if shadow else situation.rescalings + (choice.scale_out != situation.asked_scale_out),
        shadow=shadow,
        policy_memory=dict(choice.memory),
        meets_target=choice.meets_target,
        reason=reason,
        seen_scale_out=situation.seen_scale_out,
        remaining_jobs=list(found.job_ids),
        fine_tune_seconds=found.fine_tune_seconds,
        predict_seconds=found.predict_seconds,
        total_seconds=total_seconds,
    )


def to_recommendation(decision: ScalingDecision, found: Forecast) -> Recommendation:
    """What the driver is told: the chosen scale-out, and the runtime left from each job on.

    In shadow mode nothing but the reason: the driver leaves the scale-out alone.
    """
    chosen = decision.chosen_scale_out
    if decision.shadow:
        return Recommendation(
            reason=f"shadow mode: {chosen} executors would be asked for: {decision.reason}",
            decision_id=decision.id,
        )
    assert chosen is not None, "every decision of a policy chooses"
    remaining = found.remaining_seconds[found.candidates.index(chosen)]
    return Recommendation(
        best_predicted_scale_out_per_job=[(job_id, chosen) for job_id in found.job_ids],
        best_predicted_runtime_per_job=list(zip(found.job_ids, remaining, strict=True)),
        reason=decision.reason,
        decision_id=decision.id,
    )


def scale_out_of(execution: ApplicationExecution, latest_job: JobExecution) -> int:
    """Executors that a run has now, as far as it was reported."""
    reported = (
        latest_job.end_scale_out,
        latest_job.start_scale_out,
        execution.start_scale_out,
        execution.initial_scale_out,
    )
    return next((scale_out for scale_out in reported if scale_out), execution.worker_specs.scale_out)
