"""Policies that take the smallest scale-out by a rule of how sure it has to be.

The service's own asks for confidence; baselines do not know how sure their forecasts are, and let medians
decide.

Sources: Venkataraman et al., Ernest, NSDI 2016; Thamsen et al., Bell, IPCCC 2016. Both predict a run as a
whole: one curve over what earlier runs took from the same job to their end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.executions.candidate import Candidate
from prediction.forecasts.method import Method
from prediction.policies.policy import Choice, Situation
from prediction.policies.scale_out_rule import Infeasible, ScaleOutRule, choose_scale_out


@dataclass(frozen=True)
class ByRule:
    """One way to forecast, and one rule before and during the run."""

    name: str
    method: Method
    rule: ScaleOutRule
    rescales = True

    @property
    def later_targets_save(self) -> bool:
        """Not where hopeless runs are given up: with a little more time they are not hopeless."""
        return self.rule.infeasible is Infeasible.FASTEST

    def first(self, situation: Situation) -> Choice:
        return choose_scale_out(situation, self.rule)

    def next(self, situation: Situation) -> Choice:
        return choose_scale_out(situation, self.rule)

    def needed_seconds(self, candidates: Sequence[Candidate]) -> float:
        return min(candidate.needed_seconds(self.rule.confidence) for candidate in candidates)
