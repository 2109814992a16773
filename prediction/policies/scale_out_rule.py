"""The rule of a choice: how sure a scale-out has to be, and what is taken where none is.

Policy: among the candidates, the smallest scale-out that is expected to meet the runtime target
with the wanted confidence. A candidate is the median m of a log-normal distribution with standard
deviation s of the logarithm, so that the remaining runtime stays below m * exp(z * s) with the
confidence whose standard normal quantile is z.

Not every scale-out is asked for the same confidence. Staying asks for the least: between the
confidence at which a run is rescaled and the one at which it would be rescaled back lies a band in
which nothing happens (hysteresis). Giving executors up asks for the most, and for time in reserve:
a scale-in that proves wrong costs its own time, that of the scale-out that mends it, and what the
executors had cached. Nor is a run taken to go faster with fewer executors than it has, whatever few
earlier runs seem to show. Every rescaling costs time that the forecast of a run at rest does not have.
Rescalings are limited in number, and the last one is kept for a scale-out. A scale-in that frees few
executors is left aside: forecasts move by as much from job to job.

How a run goes with many more executors than any run had is a guess, however sure a law is of it. So it is
approached step by step: what a run shows with twice as many is what the next one is chosen by.

Stalls that befall runs at every scale-out alike (a node is slow, an executor is lost) are answered when
they come. To be sure of the target in spite of them, every run would need all executors from its
beginning, and most of those that stall would miss it all the same.

If no candidate meets the target with that confidence, the fastest is chosen; where that is preferred, and
hardly any chance is left, the cheapest. The fastest is not taken at any price: a scale-out that saves many
executors and is hardly slower is as good. So it is where the fastest alone would fit, and narrowly, because
a later target must not mean more executors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.executions.candidate import Candidate
from prediction.policies.policy import Choice, Situation, why_missed
from prediction.policies.worth import lateness_seconds, worth_its_price

_OVER_CONFIDENCE = 0.9
"""With which a run has to be over before it is left alone for that."""


class Infeasible(StrEnum):
    """What is chosen where the target is out of reach."""

    FASTEST = "fastest"
    CHEAPEST = "cheapest"


@dataclass(frozen=True)
class ScaleOutRule:
    """How sure a choice has to be. Confidences are probabilities in [0.5, 1)."""

    confidence: float = 0.5
    """Of a scale-out above the present one, and before the run."""
    stay_confidence: float | None = None
    """Of the present scale-out, or one that was asked for already; None: the same."""
    scale_in_confidence: float | None = None
    """Of a scale-out below the present one; None: the same."""
    scale_in_reserve_seconds: float = 0.0
    """What a scale-out below the present one has to leave of the budget."""
    scale_in_least_share: float = 0.0
    """Of the present executors, what a scale-out below has to free; smaller steps are not worth moving tasks
    and cached data."""
    rescaling_cost_seconds: float = 0.0
    """What every rescaling is taken to cost."""
    max_rescalings: int | None = None
    """Of one run; None: no limit."""
    infeasible: Infeasible = Infeasible.FASTEST
    give_up_chance: float = 0.5
    """With `Infeasible.CHEAPEST`: the chance below which, with every scale-out, a target is out of reach.
    A later target may then mean more executors."""
    fastest_tolerance: float = 0.0
    """Share of the time that may be given up for saving half of the executors, and again for half of what
    is left: a smaller scale-out that is no slower than that counts as the fastest."""
    extrapolation_limit: float = math.inf
    """Times the most executors of any run, this one included, up to which a scale-out is chosen."""
    settling_seconds: float = 0.0
    """What it takes until executors have come or gone: a run that is over sooner is left alone."""
    lateness_price: float = math.inf
    """Seconds of the run that one second of being late is worth: what more executors may cost. Infinite:
    whatever they cost."""


def choose_scale_out(situation: Situation, rule: ScaleOutRule | None = None) -> Choice:
    """Smallest scale-out that meets the budget as sure as the rule wants it.

    Args:
        rule: By default, medians decide.
    """
    demand = _Demand(situation, rule or ScaleOutRule())
    kept = demand.kept
    if kept is not None and kept.needed_seconds(_OVER_CONFIDENCE) <= demand.rule.settling_seconds:
        meets_target = demand.needed_seconds(kept) <= situation.budget_seconds
        return Choice(kept, meets_target, "the run is over before executors would have come or gone")
    fitting = [each for each in demand.allowed if demand.needed_seconds(each) <= situation.budget_seconds]
    if fitting:
        return _worth(demand, _smallest(demand, min(fitting, key=lambda each: each.scale_out)))
    return _worth(demand, _infeasible(demand))


def _worth(demand: "_Demand", choice: Choice) -> Choice:
    """The choice, or a smaller one where what it buys is not worth its price."""
    budget_seconds, chosen = demand.situation.budget_seconds, choice.candidate
    found = worth_its_price(
        chosen, demand.allowed, budget_seconds, demand.rule.lateness_price, demand.present
    )
    if found is chosen:
        return choice
    saved = 1.0 - found.executor_seconds / chosen.executor_seconds
    later, sooner = lateness_seconds([found, chosen], budget_seconds)
    chance = found.chance_within(budget_seconds)
    return Choice(
        found,
        choice.meets_target and chance >= 0.5,
        f"{chosen.scale_out} executors are not worth their price ({choice.reason}): these save {saved:.0%} of"
        f" it, and are {later - sooner:.1f} s later on average; their chance is {chance:.0%}",
    )


def _smallest(demand: "_Demand", first: Candidate) -> Choice:
    """The smallest that fits, together with what is chosen where none does.

    Otherwise a little more time could mean more executors.
    """
    budget_seconds = demand.situation.budget_seconds
    within = f"stays within {budget_seconds:.1f} s with {demand.confidence(first):.0%} confidence"
    aside = ", stalls aside that befall any scale-out" if first.sets_stalls_aside else ""
    near = demand.nearest(demand.needed_seconds)
    if near.scale_out >= first.scale_out:
        reason = f"smallest scale-out whose remaining runtime {within}{aside}{demand.remark}"
        return Choice(first, True, reason)
    chance = near.chance_within(budget_seconds)
    return Choice(
        near,
        chance >= 0.5,
        f"the smallest that is hardly slower than {first.scale_out}, which {within}{aside}; its own"
        f" chance is {chance:.0%}{demand.remark}",
    )


def _infeasible(demand: "_Demand") -> Choice:
    """Where no candidate is sure enough: the fastest, or for a hopeless run what the rule says."""
    budget_seconds, rule = demand.situation.budget_seconds, demand.rule
    chance = max(each.chance_within(budget_seconds) for each in demand.allowed)
    missed = why_missed(budget_seconds)
    if chance >= 0.5:  # expected it is, but not as surely as is asked for
        missed = f"no scale-out is sure enough to stay within {budget_seconds:.1f} s"
    if rule.infeasible is Infeasible.CHEAPEST and chance < rule.give_up_chance:
        cheapest = min(demand.allowed, key=lambda each: (each.executor_seconds, each.scale_out))
        reason = f"{missed} (chance {chance:.0%}); this is the cheapest{demand.remark}"
        return Choice(cheapest, False, reason)
    # Not simply the fastest: where another one would fit first if there were more time, and is larger,
    # more time would mean more executors.
    fast = demand.nearest(lambda each: each.remaining_seconds)
    largest = max(fast, demand.nearest(demand.needed_seconds), key=lambda each: each.scale_out)
    missed += demand.left_aside
    how, fastest_seconds = "the fastest", min(each.remaining_seconds for each in demand.allowed)
    if largest.remaining_seconds > fastest_seconds:
        slower = largest.remaining_seconds / fastest_seconds - 1.0
        how = f"the smallest that is hardly slower ({slower:.1%}) than the fastest"
    return Choice(largest, False, f"{missed}; this is {how}{demand.remark}")


class _Demand:
    """What a rule asks of each candidate in a situation."""

    def __init__(self, situation: Situation, rule: ScaleOutRule) -> None:
        self.situation, self.rule = situation, rule
        near, self.left_aside = _near_enough(situation, rule)
        self.allowed, self.remark = _allowed(situation, rule, near)
        self._current = situation.current_scale_out
        self._kept = {self._current, situation.asked_scale_out} - {0}
        known = {each.scale_out: each for each in situation.candidates}
        self.present = known.get(self._current)
        self.kept = known.get(situation.asked_scale_out or self._current)
        """What the run goes on with where nothing is asked for."""

    def confidence(self, candidate: Candidate) -> float:
        """With which it has to stay within the budget."""
        rule = self.rule
        if candidate.scale_out in self._kept:
            return rule.confidence if rule.stay_confidence is None else rule.stay_confidence
        if candidate.scale_out < self._current and rule.scale_in_confidence is not None:
            return rule.scale_in_confidence
        return rule.confidence

    def needed_seconds(self, candidate: Candidate) -> float:
        """The budget from which on the scale-out fits."""
        confidence = self.confidence(candidate)
        seconds = candidate.needed_seconds(confidence)
        if self.present is not None and candidate.scale_out < self._current:
            seconds = max(seconds, self.present.needed_seconds(confidence))
        if self._kept and candidate.scale_out not in self._kept:
            seconds += self.rule.rescaling_cost_seconds
            if candidate.scale_out < self._current:
                seconds += self.rule.scale_in_reserve_seconds
        return seconds

    def nearest(self, seconds: Callable[[Candidate], float]) -> Candidate:
        """The smallest that takes, by some measure, hardly longer for what it saves than the quickest."""
        quickest = min(self.allowed, key=lambda each: (seconds(each), each.scale_out))

        def limit(candidate: Candidate) -> float:
            halvings = max(math.log2(quickest.scale_out / candidate.scale_out), 0.0)
            return math.pow(1.0 + self.rule.fastest_tolerance, halvings) * seconds(quickest)

        return min(
            (each for each in self.allowed if seconds(each) <= limit(each)), key=lambda each: each.scale_out
        )


def _near_enough(situation: Situation, rule: ScaleOutRule) -> tuple[Sequence[Candidate], str]:
    """The candidates that are not far from all that was seen, and a remark if there are others."""
    candidates, seen = situation.candidates, situation.seen_scale_out
    if seen is None or math.isinf(rule.extrapolation_limit):
        return candidates, ""
    seen = max(seen, situation.current_scale_out, situation.asked_scale_out)
    near = [each for each in candidates if each.scale_out <= rule.extrapolation_limit * seen]
    if len(near) == len(candidates):
        return candidates, ""
    near = near or [min(candidates, key=lambda each: each.scale_out)]
    most = max(each.scale_out for each in near)
    return near, f" (more than {most} executors are too far from the {seen} that runs had at most)"


def _allowed(
    situation: Situation, rule: ScaleOutRule, candidates: Sequence[Candidate]
) -> tuple[Sequence[Candidate], str]:
    """Those candidates that may be chosen, and a remark if the limit on rescalings left any out."""
    rescalings = situation.rescalings
    current, asked = situation.current_scale_out, situation.asked_scale_out
    worth_while = (1.0 - rule.scale_in_least_share) * current
    large = [
        each for each in candidates if not worth_while < each.scale_out < current or each.scale_out == asked
    ]
    candidates = large or candidates
    if rule.max_rescalings is None or not current or rescalings < rule.max_rescalings - 1:
        return candidates, ""
    kept = {asked or current}
    if rescalings < rule.max_rescalings:
        left = [each for each in candidates if each.scale_out >= current or each.scale_out in kept]
        remark = f" (the last of {rule.max_rescalings} rescalings is kept for a scale-out)"
    else:
        left = [each for each in candidates if each.scale_out in kept]
        remark = f" (the run was rescaled {rescalings} times already)"
    if not left or len(left) == len(candidates):
        return candidates, ""  # what the run has is no candidate: then it has to be rescaled
    return left, remark
