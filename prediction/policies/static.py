"""Policies that decide once, before the run, for a share of the target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.executions.candidate import Candidate
from prediction.forecasts.method import Method
from prediction.policies.policy import Choice, Policy, Situation


@dataclass(frozen=True)
class Static:
    """Another policy's first choice, which the run then keeps."""

    name: str
    chooser: Policy
    margin: float = 1.0
    """Share of the runtime target that the choice is made for."""
    rescales = False

    @property
    def method(self) -> Method:
        return self.chooser.method

    @property
    def later_targets_save(self) -> bool:
        return self.chooser.later_targets_save

    def first(self, situation: Situation) -> Choice:
        return self.chooser.first(replace(situation, budget_seconds=self.margin * situation.budget_seconds))

    def next(self, situation: Situation) -> Choice:
        """What the run has, or the candidate nearest to it."""
        present = min(
            situation.candidates, key=lambda each: abs(each.scale_out - situation.current_scale_out)
        )
        meets = present.remaining_seconds <= situation.budget_seconds
        return Choice(present, meets, "a static solution is never rescaled")

    def needed_seconds(self, candidates: Sequence[Candidate]) -> float:
        return self.chooser.needed_seconds(candidates) / self.margin
