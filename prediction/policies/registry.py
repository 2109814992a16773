"""Every policy by its `solution_name`: the one place that knows which there are."""

import math
from collections.abc import Callable, Mapping

from common.errors import InvalidRequest
from common.settings.prediction import PredictionSettings
from prediction.forecasts.method import Method
from prediction.policies.by_rule import ByRule
from prediction.policies.ellis import Ellis
from prediction.policies.policy import Policy
from prediction.policies.scale_out_rule import Infeasible, ScaleOutRule
from prediction.policies.static import Static

_SETTLING_SECONDS = 5.0
"""An executor's JVM takes about as long to start on an idle machine, and one that hands over and goes three
seconds (`benchmarks/real_runs.py`)."""

POLICIES: Mapping[str, Callable[[PredictionSettings], Policy]] = {
    "enel": lambda settings: ByRule("enel", Method.MODEL, _rule(settings)),
    "ernest": lambda settings: ByRule("ernest", Method.ERNEST, _median_rule(settings)),
    "bell": lambda settings: ByRule("bell", Method.BELL, _median_rule(settings)),
    "ellis": lambda settings: Ellis(ByRule("ellis", Method.ERNEST_PER_JOB, _median_rule(settings))),
    "static": lambda settings: Static("static", ByRule("static", Method.MODEL, _rule(settings))),
    "static_margin": lambda settings: Static(
        "static_margin",
        ByRule("static_margin", Method.MODEL, _median_rule(settings)),
        settings.static_margin,
    ),
}
"""How each is made from the settings; docs/baselines.md says what it is for."""


class PolicyNotFound(InvalidRequest):
    """There is no policy of this name."""


class Policies:
    """The policies of a service with these settings."""

    def __init__(self, settings: PredictionSettings) -> None:
        self._by_name = {name: make(settings) for name, make in POLICIES.items()}

    def get(self, solution_name: str) -> Policy:
        """The one that decides on such runs.

        Raises:
            PolicyNotFound: There is none.
        """
        try:
            return self._by_name[solution_name]
        except KeyError as error:
            raise PolicyNotFound(unknown_solution(solution_name)) from error


def unknown_solution(solution_name: str) -> str:
    """What is said of a name that is none of a policy's."""
    return f"solution_name is {solution_name[:100]!r}; known: {', '.join(POLICIES)}."


def _rule(settings: PredictionSettings) -> ScaleOutRule:
    return ScaleOutRule(
        confidence=settings.target_confidence,
        stay_confidence=min(settings.stay_confidence, settings.target_confidence),
        scale_in_confidence=max(settings.scale_in_confidence, settings.target_confidence),
        scale_in_reserve_seconds=settings.scale_in_reserve_seconds,
        scale_in_least_share=settings.scale_in_least_share,
        rescaling_cost_seconds=settings.rescaling_cost_seconds,
        max_rescalings=settings.max_rescalings,
        infeasible=Infeasible(settings.infeasible_target),
        give_up_chance=settings.give_up_chance,
        fastest_tolerance=settings.fastest_tolerance,
        extrapolation_limit=settings.extrapolation_limit or math.inf,
        settling_seconds=_SETTLING_SECONDS,
        lateness_price=settings.lateness_price or math.inf,
    )


def _median_rule(settings: PredictionSettings) -> ScaleOutRule:
    """Of whoever does not know how sure a forecast is."""
    return ScaleOutRule(
        max_rescalings=settings.max_rescalings, infeasible=Infeasible(settings.infeasible_target)
    )
