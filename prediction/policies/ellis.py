"""Ellis's rule, corrected: it rescales where what follows the next job fits the time then left badly.

The published implementation asked Spark for the scale-out that a run already had; here what is asked for is
the one that was found.

Source: Thamsen et al., Ellis: Dynamically Scaling Distributed Dataflows to Meet Runtime Targets,
CloudCom 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.executions.candidate import Candidate
from prediction.forecasts.method import Method
from prediction.policies.by_rule import ByRule
from prediction.policies.policy import Choice, Situation, why_missed

LOWEST, HIGHEST, AIM = 0.85, 1.05, 0.9
"""A run is left alone while what follows its next job takes between the first two of the time then left;
otherwise what takes less than the third is asked for."""


@dataclass(frozen=True)
class Ellis:
    """One of Ernest's curves for every job; medians before the run, and a band during it."""

    otherwise: ByRule
    """Decides before the run, and once the limit of rescalings is reached."""
    rescales = True
    later_targets_save = False
    """Within the band nothing happens, whatever a smaller scale-out would do."""

    @property
    def name(self) -> str:
        return self.otherwise.name

    @property
    def method(self) -> Method:
        return self.otherwise.method

    def first(self, situation: Situation) -> Choice:
        return self.otherwise.first(situation)

    def next(self, situation: Situation) -> Choice:
        limit = self.otherwise.rule.max_rescalings
        if limit is not None and situation.rescalings >= limit:
            return self.otherwise.next(situation)
        return _choose_within_band(situation)

    def needed_seconds(self, candidates: Sequence[Candidate]) -> float:
        return self.otherwise.needed_seconds(candidates)


def _choose_within_band(situation: Situation) -> Choice:
    candidates, after_next = situation.candidates, situation.after_next_job_seconds
    budget_seconds, current = situation.budget_seconds, situation.current_scale_out
    now = min(range(len(candidates)), key=lambda i: abs(candidates[i].scale_out - current))
    if not after_next:
        return Choice(
            candidates[now],
            candidates[now].remaining_seconds <= budget_seconds,
            "no job follows the next one: the scale-out stays",
        )
    left = budget_seconds - (candidates[now].remaining_seconds - after_next[now])
    if candidates[now].scale_out == current and LOWEST * left <= after_next[now] <= HIGHEST * left:
        return Choice(candidates[now], True, "what follows the next job fits the time then left")
    fitting = [i for i, seconds in enumerate(after_next) if seconds < AIM * left]
    if fitting:
        chosen = min(fitting, key=lambda i: candidates[i].scale_out)
        return Choice(
            candidates[chosen],
            True,
            f"smallest scale-out with which what follows the next job takes less than {AIM:.0%}"
            f" of the {left:.1f} s then left",
        )
    fastest = min(range(len(candidates)), key=lambda i: (after_next[i], candidates[i].scale_out))
    return Choice(
        candidates[fastest],
        False,
        f"{why_missed(budget_seconds)}; this is the fastest",
    )
