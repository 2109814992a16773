"""The choice of a scale-out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.executions.candidate import Candidate, candidate_scale_outs
from prediction.policies.policy import Choice, Situation
from prediction.policies.scale_out_rule import Infeasible, ScaleOutRule, choose_scale_out


def choose(
    candidates: list[Candidate], budget_seconds: float, rule: ScaleOutRule | None = None, **so_far: int
) -> Choice:
    """What the rule chooses for a run that is `so_far`."""
    return choose_scale_out(Situation(candidates, budget_seconds, **so_far), rule)


forecasts = st.lists(
    st.builds(
        Candidate,
        scale_out=st.integers(1, 40),
        remaining_seconds=st.floats(0.1, 1e4),
        log_std=st.floats(0, 1),
    ),
    min_size=1,
    unique_by=lambda forecast: forecast.scale_out,
)


@st.composite
def stalling(draw: st.DrawFn) -> list[Candidate]:
    """Forecasts of runs that stall, whatever they have, now and then."""
    share = draw(st.floats(0, 1))
    return [replace(each, avoidable_log_std=share * (each.log_std or 0.0)) for each in draw(forecasts)]


budgets = st.floats(-100, 2e4)
confidences = st.floats(0.5, 0.99)
rules = st.builds(
    ScaleOutRule,
    confidence=confidences,
    stay_confidence=st.none() | confidences,
    scale_in_confidence=st.none() | confidences,
    scale_in_reserve_seconds=st.floats(0, 100),
    scale_in_least_share=st.just(0.0) | st.floats(0, 0.5),
    rescaling_cost_seconds=st.floats(0, 100),
    max_rescalings=st.none() | st.integers(1, 5),
    settling_seconds=st.just(0.0) | st.floats(0, 100),
    infeasible=st.just(Infeasible.FASTEST),
    fastest_tolerance=st.just(0.0) | st.floats(0, 0.3),
)
situations = st.fixed_dictionaries(
    {
        "current_scale_out": st.integers(0, 40),
        "asked_scale_out": st.integers(0, 40),
        "rescalings": st.integers(0, 6),
    }
)


def test_the_smallest_that_fits_is_chosen() -> None:
    options = [Candidate(8, 50.0), Candidate(2, 200.0), Candidate(4, 100.0)]
    choice = choose(options, 120.0)
    assert (choice.scale_out, choice.meets_target) == (4, True)


def test_if_none_fits_the_fastest_is_chosen() -> None:
    options = [Candidate(8, 60.0), Candidate(2, 200.0), Candidate(6, 50.0)]
    choice = choose(options, -1.0)
    assert (choice.scale_out, choice.meets_target) == (6, False)


def test_of_equally_fast_ones_the_smallest_is_chosen() -> None:
    assert choose([Candidate(8, 60.0), Candidate(6, 60.0)], 1.0).scale_out == 6


def test_doubt_asks_for_a_larger_one() -> None:
    options = [Candidate(4, 100.0, 0.3), Candidate(8, 60.0, 0.3)]
    assert choose(options, 110.0, ScaleOutRule(0.5)).scale_out == 4
    assert choose(options, 110.0, ScaleOutRule(0.9)).scale_out == 8


def test_giving_executors_up_asks_for_more_confidence() -> None:
    options = [Candidate(2, 100.0, 0.1), Candidate(4, 60.0, 0.1)]
    rule = ScaleOutRule(0.8, scale_in_confidence=0.95)
    for current, chosen in [(0, 2), (2, 2), (4, 4)]:
        assert choose(options, 112.0, rule, current_scale_out=current).scale_out == chosen


def test_giving_executors_up_needs_time_in_reserve() -> None:
    options = [Candidate(2, 100.0), Candidate(4, 60.0)]
    rule = ScaleOutRule(0.5, scale_in_confidence=0.5, scale_in_reserve_seconds=10.0)
    for budget, chosen in [(105.0, 4), (110.0, 2)]:
        assert choose(options, budget, rule, current_scale_out=4).scale_out == chosen
    assert choose(options, 105.0, rule, current_scale_out=2).meets_target


def test_a_run_stays_at_what_it_has_within_a_band() -> None:
    options = [Candidate(4, 100.0, 0.1), Candidate(6, 80.0, 0.1)]
    rule = ScaleOutRule(0.8, stay_confidence=0.7)
    # 4 meets 107 s with three quarters of a chance: enough to stay, not enough to begin with.
    assert 0.7 < options[0].chance_within(107.0) < 0.8
    for current, chosen in [(4, 4), (0, 6), (6, 6)]:
        assert choose(options, 107.0, rule, current_scale_out=current).scale_out == chosen


def test_what_was_asked_for_and_is_not_there_yet_is_asked_for_again() -> None:
    options = [Candidate(4, 100.0, 0.1), Candidate(6, 80.0, 0.1), Candidate(8, 70.0, 0.1)]
    rule = ScaleOutRule(0.8, stay_confidence=0.7)
    choice = choose(options, 86.0, rule, current_scale_out=4, asked_scale_out=6)
    assert choice.scale_out == 6
    assert choose(options, 86.0, rule, current_scale_out=4).scale_out == 8


def test_every_rescaling_costs_time() -> None:
    options = [Candidate(4, 100.0), Candidate(6, 90.0), Candidate(8, 80.0)]
    rule = ScaleOutRule(rescaling_cost_seconds=5.0)
    assert choose(options, 92.0, rule, current_scale_out=4).scale_out == 8
    assert choose(options, 92.0, rule).scale_out == 6


def test_rescalings_are_limited_and_the_last_one_is_a_scale_out() -> None:
    options = [Candidate(2, 200.0), Candidate(4, 100.0), Candidate(8, 60.0)]
    rule = ScaleOutRule(max_rescalings=3)
    chosen = {
        (budget, rescalings): choose(
            options, budget, rule, current_scale_out=4, rescalings=rescalings
        ).scale_out
        for budget in (70.0, 300.0)
        for rescalings in (1, 2, 3)
    }
    assert chosen == {(70, 1): 8, (70, 2): 8, (70, 3): 4, (300, 1): 2, (300, 2): 4, (300, 3): 4}
    reason = choose(options, 70.0, rule, current_scale_out=4, rescalings=3).reason
    assert "rescaled 3 times" in reason


def test_a_run_outside_its_bounds_is_rescaled_whatever_the_limit() -> None:
    rule = ScaleOutRule(max_rescalings=1)
    options = [Candidate(2, 200.0), Candidate(4, 100.0)]
    assert choose(options, 150.0, rule, current_scale_out=9, rescalings=5).scale_out == 4


def test_a_target_out_of_reach_may_be_given_up_cheaply() -> None:
    options = [Candidate(2, 200.0), Candidate(4, 120.0), Candidate(8, 90.0)]
    choice = choose(options, 50.0, ScaleOutRule(infeasible=Infeasible.CHEAPEST))
    assert (choice.scale_out, choice.meets_target) == (2, False)
    assert "cheapest" in choice.reason


def test_a_target_that_is_within_reach_is_not_given_up() -> None:
    options = [Candidate(2, 200.0, 0.2), Candidate(4, 120.0, 0.2), Candidate(8, 90.0, 0.2)]
    rule = ScaleOutRule(0.95, infeasible=Infeasible.CHEAPEST, give_up_chance=0.1)
    # 8 executors meet 80 s with a chance of 28%, and 65 s with 5%; never with 95%.
    assert options[2].chance_within(80.0) == pytest.approx(0.28, abs=0.01)
    for budget, chosen in ((130.0, 8), (100.0, 8), (80.0, 8), (65.0, 2), (-5.0, 2)):
        assert choose(options, budget, rule).scale_out == chosen


def test_what_is_hardly_slower_counts_as_the_fastest() -> None:
    # Half of the executors are worth 4% of the time, half of those another 4%, a sixth of them 1.1%.
    rule = ScaleOutRule(fastest_tolerance=0.04)
    for x, seconds, chosen in (
        (16, 104.1, 32),
        (16, 104.0, 16),
        (8, 108.1, 8),
        (8, 108.2, 32),
        (27, 101.0, 32),
    ):
        options = [Candidate(x, seconds), Candidate(32, 100.0)]
        assert choose(options, 50.0, rule).scale_out == chosen
        assert choose(options, 50.0).scale_out == 32
    choice = choose([Candidate(16, 104.0), Candidate(32, 100.0)], 50.0, rule)
    assert not choice.meets_target
    assert "hardly slower (4.0%) than the fastest" in choice.reason


def test_what_is_hardly_slower_than_the_only_one_that_fits_says_how_likely_it_is() -> None:
    rule = ScaleOutRule(0.97, fastest_tolerance=0.03)
    for std, budget, chance, meets in ((0.03, 106.0, "18%", False), (0.1, 121.0, "85%", True)):
        choice = choose([Candidate(4, 109.0, std), Candidate(36, 100.0, std)], budget, rule)
        assert (choice.scale_out, choice.meets_target) == (4, meets)
        assert "hardly slower than 36, which stays within" in choice.reason
        assert f"its own chance is {chance}" in choice.reason
    later = choose([Candidate(4, 109.0, 0.1), Candidate(36, 100.0, 0.1)], 132.0, rule)
    assert (
        later.reason == "smallest scale-out whose remaining runtime stays within 132.0 s with 97% confidence"
    )


@given(st.floats(1e-300, 1e300), st.floats(0, 1e300), st.floats(0, 2), st.floats(-1e300, 1e300))
def test_a_chance_is_a_probability(remaining: float, budget: float, std: float, more: float) -> None:
    forecast = Candidate(4, remaining, std)
    assert 0.0 <= forecast.chance_within(budget) <= 1.0
    assert forecast.chance_within(budget + abs(more)) >= forecast.chance_within(budget)


def test_a_stall_that_befalls_any_run_is_no_reason_for_more_executors() -> None:
    rule = ScaleOutRule(0.9)
    plain = [Candidate(4, 100.0, 0.4), Candidate(16, 80.0, 0.4)]
    choice = choose(plain, 120.0, rule)
    assert choice.scale_out == 16  # neither is sure enough
    assert "stalls aside" not in choice.reason
    aside = [replace(each, avoidable_log_std=0.05) for each in plain]
    choice = choose(aside, 120.0, rule)
    assert (choice.scale_out, choice.meets_target) == (4, True)
    assert "stalls aside" in choice.reason
    assert aside[0].chance_within(120.0) < 0.9  # what is shown has them


def test_no_forecasts_are_an_error() -> None:
    with pytest.raises(ValueError, match="no forecast"):
        choose([], 1.0)


@given(forecasts, budgets, confidences)
def test_nothing_smaller_would_have_met_the_target(
    options: list[Candidate], budget: float, confidence: float
) -> None:
    choice = choose(options, budget, ScaleOutRule(confidence))
    fitting = {o.scale_out for o in options if o.bound_seconds(confidence) <= budget}
    assert choice.meets_target == bool(fitting)
    if fitting:
        assert choice.scale_out == min(fitting)
    else:
        fastest = min(options, key=lambda option: (option.remaining_seconds, option.scale_out))
        assert choice.scale_out >= fastest.scale_out
        assert choice.candidate in (fastest, min(options, key=lambda o: o.bound_seconds(confidence)))


@given(forecasts | stalling(), budgets, st.floats(0, 1e4), rules, situations)
def test_a_higher_target_never_raises_the_choice(
    options: list[Candidate], budget: float, more: float, rule: ScaleOutRule, situation: dict[str, int]
) -> None:
    tight = choose(options, budget, rule, **situation)
    loose = choose(options, budget + more, rule, **situation)
    assert loose.scale_out <= tight.scale_out
    assert loose.meets_target >= tight.meets_target


@given(
    forecasts,
    budgets,
    st.floats(0, 1),
    st.floats(0, 1),
    confidences,
    st.floats(0, 1),
    st.floats(0, 0.3),
)
def test_more_uncertainty_never_lowers_the_choice(
    options: list[Candidate],
    budget: float,
    std: float,
    more: float,
    confidence: float,
    avoidable: float,
    tolerance: float,
) -> None:
    sure, unsure = (
        [
            Candidate(option.scale_out, option.remaining_seconds, each, None, avoidable * each)
            for option in options
        ]
        for each in (std, std + more)
    )
    rule = ScaleOutRule(confidence, fastest_tolerance=tolerance)
    assert choose(unsure, budget, rule).scale_out >= choose(sure, budget, rule).scale_out


@given(forecasts | stalling(), budgets, rules, situations)
def test_more_confidence_never_lowers_the_choice_where_the_target_is_met(
    options: list[Candidate], budget: float, rule: ScaleOutRule, situation: dict[str, int]
) -> None:
    surer = replace(rule, confidence=0.5 * (rule.confidence + 1.0))
    choice = choose(options, budget, surer, **situation)
    if choice.meets_target:
        assert choice.scale_out >= choose(options, budget, rule, **situation).scale_out


def test_a_scale_in_that_frees_few_executors_is_left_aside() -> None:
    options = [Candidate(x, 1000.0 / x) for x in (16, 18, 19, 20, 24)]
    rule = ScaleOutRule(scale_in_least_share=0.1)
    for budget, chosen in ((1000.0 / 19 + 1, 20), (1000.0 / 18 + 1, 18), (1000.0 / 16 + 1, 16), (45.0, 24)):
        assert choose(options, budget, rule, current_scale_out=20).scale_out == chosen
    asked = choose(options, 54.0, rule, current_scale_out=20, asked_scale_out=19)
    assert asked.scale_out == 19
    assert choose(options, 54.0, rule).scale_out == 19


@given(forecasts | stalling(), budgets, rules, situations)
def test_nobody_is_rescaled_beyond_the_limit(
    options: list[Candidate], budget: float, rule: ScaleOutRule, situation: dict[str, int]
) -> None:
    limited = replace(rule, max_rescalings=3)
    held = situation["asked_scale_out"] or situation["current_scale_out"]
    situation = {**situation, "rescalings": 3}
    if situation["current_scale_out"] and held in {option.scale_out for option in options}:
        assert choose(options, budget, limited, **situation).scale_out == held


def test_many_more_executors_than_runs_had_are_approached_step_by_step() -> None:
    options = [Candidate(x, 1000.0 / x) for x in range(2, 41)]
    rule = ScaleOutRule(extrapolation_limit=2.0)
    chosen = [4]
    while chosen[-1] < 40:
        choice = choose(options, 26.0, rule, seen_scale_out=chosen[-1])
        chosen.append(choice.scale_out)
        assert choice.meets_target == (chosen[-1] == 39)
        if not choice.meets_target:
            assert f"more than {chosen[-1]} executors are too far from the {chosen[-2]}" in choice.reason
        if choice.meets_target:
            break
    assert chosen == [4, 8, 16, 32, 39]
    assert choose(options, 26.0, rule, seen_scale_out=4, current_scale_out=10).scale_out == 20
    assert choose(options, 26.0, rule).scale_out == 39, "nothing is known of earlier runs"
    assert choose(options, 26.0, seen_scale_out=4).scale_out == 39, "no limit"


def test_the_limit_says_nothing_where_fewer_executors_do() -> None:
    options = [Candidate(x, 1000.0 / x) for x in range(2, 41)]
    choice = choose(options, 200.0, ScaleOutRule(extrapolation_limit=2.0), seen_scale_out=4)
    assert choice.scale_out == 5
    assert "too far" not in choice.reason


def test_where_all_candidates_are_far_the_smallest_is_left() -> None:
    options = [Candidate(x, 1000.0 / x) for x in range(20, 41)]
    choice = choose(options, 26.0, ScaleOutRule(extrapolation_limit=2.0), seen_scale_out=4)
    assert choice.scale_out == 20


@given(st.floats(1, 1e4), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 0.99))
def test_a_bound_is_met_with_its_confidence(
    seconds: float, std: float, early: float, confidence: float
) -> None:
    forecast = Candidate(4, seconds, std, early)
    assert forecast.chance_within(forecast.bound_seconds(confidence)) == pytest.approx(confidence)
    assert forecast.chance_within(-1.0) == 0.0


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_candidates_hold_both_ends_and_are_not_too_many(minimum: int, extent: int) -> None:
    candidates = candidate_scale_outs(minimum, minimum + extent, limit=64)
    assert candidates[0] == minimum
    assert candidates[-1] == minimum + extent
    assert list(candidates) == sorted(set(candidates))
    assert len(candidates) <= 64


def test_a_run_that_is_over_soon_is_left_alone() -> None:
    """Executors would be on their way for as long as it still runs."""
    rule = ScaleOutRule(settling_seconds=5.0)
    left = [Candidate(1, 3.0, 0.1), Candidate(2, 2.0, 0.1), Candidate(4, 1.0, 0.1)]
    for budget, meets in ((60.0, True), (1.5, False), (-2.0, False)):
        chosen = choose(left, budget, rule, current_scale_out=2)
        assert (chosen.scale_out, chosen.meets_target) == (2, meets)
        assert "over before" in chosen.reason
    assert choose(left, 60.0, rule, current_scale_out=2, asked_scale_out=4).scale_out == 4
    assert choose(left, 60.0, rule).scale_out == 1, "before a run there is nothing to leave alone"
    unsure = [replace(each, log_std=1.0) for each in left]
    assert choose(unsure, 60.0, rule, current_scale_out=2).scale_out == 1
