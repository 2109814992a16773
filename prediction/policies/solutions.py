"""Who decides, by `solution_name`: the service's own rule, or what a baseline would have chosen; pure."""

from common.wire.specs import SolutionName
from prediction.forecasts.forecast import Forecast
from prediction.forecasts.forecaster import options
from prediction.policies.ellis import choose_by_ellis
from prediction.policies.scale_out import Choice, ScaleOutRule, choose_scale_out


def by_medians(rule: ScaleOutRule) -> ScaleOutRule:
    """The rule of whoever does not know how sure a forecast is."""
    return ScaleOutRule(max_rescalings=rule.max_rescalings, infeasible=rule.infeasible)


def choose_for(
    solution_name: SolutionName,
    found: Forecast,
    budget_seconds: float,
    rule: ScaleOutRule,
    *,
    current_scale_out: int,
    asked_scale_out: int,
    rescalings: int,
) -> Choice:
    """The scale-out that a run in progress should have.

    Args:
        found: Of what is left, at least one job and one candidate.
        budget_seconds: What is left of the runtime target.
        rule: The service's own.
        current_scale_out, asked_scale_out, rescalings: As in `choose_scale_out`.
    """
    if solution_name == "ellis" and rescalings < (rule.max_rescalings or rescalings + 1):
        later = [seconds[1] for seconds in found.remaining_seconds] if len(found.job_ids) > 1 else []
        return choose_by_ellis(options(found), later, budget_seconds, current_scale_out)
    return choose_scale_out(
        options(found),
        budget_seconds,
        rule if solution_name == "enel" else by_medians(rule),
        current_scale_out=current_scale_out,
        asked_scale_out=asked_scale_out,
        rescalings=rescalings,
    )
