"""The rule of scale-outs as the settings have it."""

from common.settings.prediction import PredictionSettings
from prediction.policies.scale_out import Infeasible, ScaleOutRule


def rule_of(settings: PredictionSettings) -> ScaleOutRule:
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
    )
