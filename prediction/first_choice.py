"""The choice of a scale-out before a run: what it was made from is what is stored and what is shown."""

from typing import Any

from bson import ObjectId
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from common.executions.candidate import Candidate
from common.executions.documents import ApplicationExecution, ScalingDecision
from common.wire.specs import WireModel
from prediction.forecasts.whole_run import WholeRunForecast
from prediction.policies.policy import Policy, Situation


class FirstChoice(WireModel):
    """With how many executors an application starts, why, and what there was to choose from."""

    scale_out: int
    """Executors to start with; the requested ones where nothing can be predicted."""
    reason: str
    predicted_runtime_seconds: float | None = None
    """Median of the whole application with these executors; null where nothing could be predicted."""
    target_seconds: float
    """The runtime target."""
    feasible: bool | None = None
    """Whether any candidate meets the target more likely than not; null: nothing is known."""
    fastest_runtime_seconds: float | None = None
    """Smallest median of all candidates."""
    nearest_feasible_target_seconds: float | None = None
    """Smallest target that a candidate meets as surely as the service wants it."""
    candidates: list[Candidate] = Field(default_factory=list)
    """By scale-out; empty where nothing can be predicted."""
    source: str | None = None
    """Id of the model version, `similar-runs`, `context-model`, or the name of a baseline."""
    runs: int = 0
    """Earlier runs that this was learned from."""
    seen_scale_out: SkipJsonSchema[int | None] = Field(default=None, exclude=True)
    """Most executors of any earlier run; stored, and shown with decisions only."""
    policy_memory: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict, exclude=True)
    """What the policy wants to know again; stored, and shown with decisions only."""

    def moved(self, scale_out: int, reason: str) -> "FirstChoice":
        """The same forecast, another scale-out to start with."""
        return self.model_copy(
            update={
                "scale_out": scale_out,
                "reason": reason,
                "predicted_runtime_seconds": self._runtime_at(scale_out),
            }
        )

    def to_decision(self, execution: ApplicationExecution) -> ScalingDecision:
        """As it is stored with its run."""
        candidates = self.candidates
        if not candidates and self.predicted_runtime_seconds is not None:
            candidates = [Candidate(self.scale_out, self.predicted_runtime_seconds)]
        runtime_seconds = self._runtime_at(self.scale_out) if self.candidates else None
        return ScalingDecision(
            id=str(ObjectId()),
            application_execution_id=execution.id,
            job_id=-1,
            elapsed_seconds=0.0,
            current_scale_out=execution.worker_specs.scale_out,
            target_seconds=self.target_seconds,
            model_key=self.source,
            candidates=candidates,
            chosen_scale_out=self.scale_out,
            meets_target=None if runtime_seconds is None else runtime_seconds <= self.target_seconds,
            reason=self.reason,
            shadow=execution.shadow,
            feasible=self.feasible,
            fastest_runtime_seconds=self.fastest_runtime_seconds,
            nearest_feasible_target_seconds=self.nearest_feasible_target_seconds,
            runs=self.runs,
            seen_scale_out=self.seen_scale_out,
            policy_memory=self.policy_memory,
        )

    @classmethod
    def of(cls, decision: ScalingDecision) -> "FirstChoice":
        """As it was, from what is stored."""
        found = cls(
            scale_out=decision.chosen_scale_out or decision.current_scale_out,
            reason=decision.reason,
            target_seconds=decision.target_seconds,
            feasible=decision.feasible,
            fastest_runtime_seconds=decision.fastest_runtime_seconds,
            nearest_feasible_target_seconds=decision.nearest_feasible_target_seconds,
            candidates=decision.candidates,
            source=decision.model_key,
            runs=decision.runs or 0,
            seen_scale_out=decision.seen_scale_out,
            policy_memory=decision.policy_memory,
        )
        found.predicted_runtime_seconds = found._runtime_at(found.scale_out)
        return found

    def _runtime_at(self, scale_out: int) -> float | None:
        runtimes = {each.scale_out: each.remaining_seconds for each in self.candidates}
        if self.predicted_runtime_seconds is not None:
            runtimes.setdefault(self.scale_out, self.predicted_runtime_seconds)
        return runtimes.get(scale_out)


def choose_first(policy: Policy, found: WholeRunForecast, target_seconds: float) -> FirstChoice:
    """Let a policy choose before the run; pure.

    Args:
        found: Of whole runs, with at least one candidate.
        target_seconds: For the whole application.
    Raises:
        ValueError: There is no candidate.
    """
    candidates = sorted(found.choices(target_seconds), key=lambda each: each.scale_out)
    choice = policy.first(Situation(candidates, target_seconds, seen_scale_out=found.seen_scale_out))
    fastest = min(each.remaining_seconds for each in candidates)
    chance = ""
    if not choice.meets_target:
        best = max(each.probability or 0.0 for each in candidates)
        chance = f", the best chance of {target_seconds:g} s is {best:.0%}"
    return FirstChoice(
        scale_out=choice.scale_out,
        reason=f"{choice.reason}{chance} (by {found.description})",
        predicted_runtime_seconds=choice.candidate.remaining_seconds,
        target_seconds=target_seconds,
        feasible=fastest <= target_seconds,
        fastest_runtime_seconds=fastest,
        nearest_feasible_target_seconds=policy.needed_seconds(candidates),
        candidates=candidates,
        source=found.source,
        runs=found.runs,
        seen_scale_out=found.seen_scale_out,
        policy_memory=dict(choice.memory),
    )


def as_requested(scale_out: int, target_seconds: float, reason: str) -> FirstChoice:
    """The choice of whoever submits, where nothing is predicted."""
    return FirstChoice(scale_out=scale_out, target_seconds=target_seconds, reason=reason)
