"""The choice of a scale-out: pure functions over forecasts.

Policy: among the candidates, the smallest scale-out that is expected to meet the runtime target
with the wanted confidence. A forecast is the median m of a log-normal distribution with standard
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

from prediction.forecasts.candidate import RuntimeForecast


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


@dataclass(frozen=True)
class Choice:
    forecast: RuntimeForecast
    meets_target: bool
    """As sure as the rule wants it, or, where another one is hardly faster, more likely than not."""
    reason: str


def choose_scale_out(
    forecasts: Sequence[RuntimeForecast],
    budget_seconds: float,
    rule: ScaleOutRule | None = None,
    *,
    current_scale_out: int = 0,
    asked_scale_out: int = 0,
    rescalings: int = 0,
) -> Choice:
    """Smallest scale-out that meets the budget as sure as the rule wants it.

    Args:
        forecasts: At least one; in any order.
        budget_seconds: What is left of the runtime target; negative when it has passed.
        rule: By default, medians decide.
        current_scale_out: What the run has now; 0 before the run.
        asked_scale_out: What was asked for last; 0: nothing. It may not have taken effect yet, and to
            ask for it again is no further rescaling.
        rescalings: How many were asked for in this run.
    Raises:
        ValueError: There are no forecasts.
    """
    if not forecasts:
        raise ValueError("there is no forecast to choose from")
    rule = rule or ScaleOutRule()
    kept = {current_scale_out, asked_scale_out} - {0}
    choices, limit = _allowed(forecasts, rule, current_scale_out, asked_scale_out, rescalings)

    def confidence(forecast: RuntimeForecast) -> float:
        if forecast.scale_out in kept:
            return rule.confidence if rule.stay_confidence is None else rule.stay_confidence
        if forecast.scale_out < current_scale_out and rule.scale_in_confidence is not None:
            return rule.scale_in_confidence
        return rule.confidence

    present = next((each for each in forecasts if each.scale_out == current_scale_out), None)
    fastest_seconds = min(forecast.remaining_seconds for forecast in choices)

    def needed_seconds(forecast: RuntimeForecast) -> float:
        """The budget from which on the scale-out fits."""
        seconds = forecast.needed_seconds(confidence(forecast))
        if present is not None and forecast.scale_out < current_scale_out:
            seconds = max(seconds, present.needed_seconds(confidence(forecast)))
        if kept and forecast.scale_out not in kept:
            seconds += rule.rescaling_cost_seconds
            if forecast.scale_out < current_scale_out:
                seconds += rule.scale_in_reserve_seconds
        return seconds

    def nearest(seconds: Callable[[RuntimeForecast], float]) -> RuntimeForecast:
        """The smallest that takes, by some measure, hardly longer for what it saves than the quickest."""
        quickest = min(choices, key=lambda each: (seconds(each), each.scale_out))

        def limit(forecast: RuntimeForecast) -> float:
            halvings = max(math.log2(quickest.scale_out / forecast.scale_out), 0.0)
            return math.pow(1.0 + rule.fastest_tolerance, halvings) * seconds(quickest)

        return min(
            (each for each in choices if seconds(each) <= limit(each)), key=lambda each: each.scale_out
        )

    fitting = [forecast for forecast in choices if needed_seconds(forecast) <= budget_seconds]
    if fitting:
        first = min(fitting, key=lambda each: each.scale_out)
        within = f"stays within {budget_seconds:.1f} s with {confidence(first):.0%} confidence"
        aside = ", stalls aside that befall any scale-out" if first.sets_stalls_aside else ""
        # Together with what is chosen where none fits, or a little more time could mean more executors.
        near = nearest(needed_seconds)
        if near.scale_out >= first.scale_out:
            return Choice(first, True, f"smallest scale-out whose remaining runtime {within}{aside}{limit}")
        chance = near.chance_within(budget_seconds)
        return Choice(
            near,
            chance >= 0.5,
            f"the smallest that is hardly slower than {first.scale_out}, which {within}{aside}; its own"
            f" chance is {chance:.0%}{limit}",
        )
    missed = f"no scale-out is expected to stay within {budget_seconds:.1f} s"
    if rule.infeasible is Infeasible.CHEAPEST:
        chance = max(forecast.chance_within(budget_seconds) for forecast in choices)
        if chance < rule.give_up_chance:
            cheapest = min(choices, key=lambda forecast: (forecast.executor_seconds, forecast.scale_out))
            return Choice(cheapest, False, f"{missed} (chance {chance:.0%}); this is the cheapest{limit}")
    # Not simply the fastest: where another one would fit first if there were more time, and is larger,
    # more time would mean more executors.
    fast = nearest(lambda forecast: forecast.remaining_seconds)
    largest = max(fast, nearest(needed_seconds), key=lambda forecast: forecast.scale_out)
    how = "the fastest"
    if largest.remaining_seconds > fastest_seconds:
        slower = largest.remaining_seconds / fastest_seconds - 1.0
        how = f"the smallest that is hardly slower ({slower:.1%}) than the fastest"
    return Choice(largest, False, f"{missed}; this is {how}{limit}")


def _allowed(
    forecasts: Sequence[RuntimeForecast], rule: ScaleOutRule, current: int, asked: int, rescalings: int
) -> tuple[Sequence[RuntimeForecast], str]:
    """The candidates that may be chosen, and a remark if the limit on rescalings left any out."""
    worth_while = (1.0 - rule.scale_in_least_share) * current
    large = [
        each for each in forecasts if not worth_while < each.scale_out < current or each.scale_out == asked
    ]
    forecasts = large or forecasts
    if rule.max_rescalings is None or not current or rescalings < rule.max_rescalings - 1:
        return forecasts, ""
    kept = {asked or current}
    if rescalings < rule.max_rescalings:
        left = [each for each in forecasts if each.scale_out >= current or each.scale_out in kept]
        remark = f" (the last of {rule.max_rescalings} rescalings is kept for a scale-out)"
    else:
        left = [each for each in forecasts if each.scale_out in kept]
        remark = f" (the run was rescaled {rescalings} times already)"
    if not left or len(left) == len(forecasts):
        return forecasts, ""  # what the run has is no candidate: then it has to be rescaled
    return left, remark
