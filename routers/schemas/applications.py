"""Applications, jobs and decisions as the API shows them."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, computed_field

from common.executions.documents import (
    ApplicationExecution,
    ApplicationState,
    JobSummary,
    ScalingDecision,
)
from common.mongo.document import UtcTime
from common.wire.specs import WireModel
from prediction.first_choice import FirstChoice
from submission.outcomes.outcomes import Outcome, RunTimeline, outcome_of
from submission.submissions import Submission


def links_of(execution_id: str) -> dict[str, str]:
    """Addresses of everything that there is about an application."""
    own = f"/submission/applications/{execution_id}"
    parts = {"jobs": "jobs", "decisions": "decisions", "logs": "logs", "picture": "picture.svg"}
    return {"self": own} | {name: f"{own}/{part}" for name, part in parts.items()}


class SubmitResponse(WireModel):
    id: str
    """The application execution id; of a dry run, of nothing."""
    state: ApplicationState
    links: dict[str, str]
    """Where to follow it: `self`, `jobs`, `decisions`, `logs`, `picture`; empty for a dry run."""
    db_entry: ApplicationExecution
    """The stored document; of a dry run, what would be stored."""
    template_code: list[dict[str, Any]]
    """The rendered manifests."""
    k8s_api_response: dict[str, Any]
    """What the platform answered: on Kubernetes the created resource; `warnings` where there are any."""
    prediction: FirstChoice | None
    """Null only for submissions of earlier versions."""

    @classmethod
    def of(cls, submission: Submission, *, is_stored: bool = True) -> "SubmitResponse":
        execution = submission.execution
        return cls(
            id=execution.id,
            state=execution.state,
            links=links_of(execution.id) if is_stored else {},
            db_entry=execution,
            template_code=execution.manifests,
            k8s_api_response=dict(submission.response),
            prediction=FirstChoice.of(submission.decision) if submission.decision else None,
        )


class ApplicationView(ApplicationExecution):
    """An application execution and how it went."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runtime_seconds(self) -> float | None:
        """From the driver's start to the end; null until both are known."""
        return super().runtime_seconds

    @computed_field  # type: ignore[prop-decorator]
    @property
    def target_met(self) -> bool | None:
        """Whether a completed application kept its runtime target; null for all others."""
        return super().target_met

    @classmethod
    def of(cls, execution: ApplicationExecution) -> "ApplicationView":
        return cls(**execution.to_mongo())


def hint_about(execution: ApplicationExecution, decisions: Sequence[ScalingDecision]) -> str | None:
    """How to have a model, for a run that missed its target without one."""
    specs = execution.global_specs
    if execution.target_met is not False or specs.solution_name != "enel":
        return None
    if any("/" in (decision.model_key or "") for decision in decisions):  # the id of a model's version
        return None
    return (
        f"The target was missed, and there was no model of {specs.algorithm_name} to steer by. After three or"
        ' four runs, train one: POST /training/trigger_model_training with {"algorithm_name":'
        f' "{specs.algorithm_name}"}}, or `enel train {specs.algorithm_name}`.'
    )


class JobView(WireModel):
    """One Spark job, without its stages."""

    job_id: int
    start_time: UtcTime | None
    end_time: UtcTime
    start_scale_out: int | None
    end_scale_out: int | None
    runtime_seconds: float | None
    stages: int
    """How many stages it has, skipped ones included."""

    @classmethod
    def of(cls, job: JobSummary) -> "JobView":
        started = job.start_time
        return cls(
            job_id=job.job_id,
            start_time=started,
            end_time=job.end_time,
            start_scale_out=job.start_scale_out,
            end_scale_out=job.end_scale_out,
            runtime_seconds=None if started is None else max(0.0, (job.end_time - started).total_seconds()),
            stages=job.stages,
        )


class DecisionView(ScalingDecision):
    """A decision about the scale-out, and what became of it."""

    budget_seconds: float
    """What was left of the runtime target; negative when it had passed."""
    outcome: Outcome

    @classmethod
    def of(
        cls, decision: ScalingDecision, decisions: Sequence[ScalingDecision], timeline: RunTimeline
    ) -> "DecisionView":
        """`decisions` are all of the run, in their order, with or without candidates."""
        budget_seconds = decision.target_seconds - decision.elapsed_seconds
        candidates = [each.within(budget_seconds) for each in decision.candidates]
        return cls(
            **decision.model_copy(update={"candidates": candidates}).to_mongo(),
            budget_seconds=budget_seconds,
            outcome=outcome_of(decision, decisions, timeline),
        )


class ApplicationDetails(ApplicationView):
    """An application execution with its jobs and the decisions about its scale-out."""

    jobs: list[JobView] = Field(default_factory=list)
    decisions: list[DecisionView] = Field(default_factory=list)
    hint: str | None = None
    """What to do next, where a target was missed because nothing was known; otherwise null."""
    unreadable: list[str] = Field(default_factory=list)
    """Ids of jobs and decisions that are stored, but left out, because this version cannot read them."""
