"""The choice of a scale-out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prediction.scale_out import RuntimeForecast, candidate_scale_outs, choose_scale_out

forecasts = st.lists(
    st.builds(
        RuntimeForecast,
        scale_out=st.integers(1, 40),
        remaining_seconds=st.floats(0.1, 1e4),
        log_std=st.floats(0, 1),
    ),
    min_size=1,
    unique_by=lambda forecast: forecast.scale_out,
)
budgets = st.floats(-100, 2e4)
confidences = st.floats(0.5, 0.99)


def test_the_smallest_that_fits_is_chosen() -> None:
    options = [RuntimeForecast(8, 50.0), RuntimeForecast(2, 200.0), RuntimeForecast(4, 100.0)]
    choice = choose_scale_out(options, 120.0)
    assert (choice.forecast.scale_out, choice.meets_target) == (4, True)


def test_if_none_fits_the_fastest_is_chosen() -> None:
    options = [RuntimeForecast(8, 60.0), RuntimeForecast(2, 200.0), RuntimeForecast(6, 50.0)]
    choice = choose_scale_out(options, -1.0)
    assert (choice.forecast.scale_out, choice.meets_target) == (6, False)


def test_of_equally_fast_ones_the_smallest_is_chosen() -> None:
    assert choose_scale_out([RuntimeForecast(8, 60.0), RuntimeForecast(6, 60.0)], 1.0).forecast.scale_out == 6


def test_doubt_asks_for_a_larger_one() -> None:
    options = [RuntimeForecast(4, 100.0, 0.3), RuntimeForecast(8, 60.0, 0.3)]
    assert choose_scale_out(options, 110.0, confidence=0.5).forecast.scale_out == 4
    assert choose_scale_out(options, 110.0, confidence=0.9).forecast.scale_out == 8


def test_giving_executors_up_asks_for_more_confidence() -> None:
    options = [RuntimeForecast(2, 100.0, 0.1), RuntimeForecast(4, 60.0, 0.1)]
    for current, chosen in [(0, 2), (2, 2), (4, 4)]:
        choice = choose_scale_out(
            options, 112.0, confidence=0.8, current_scale_out=current, scale_in_confidence=0.95
        )
        assert choice.forecast.scale_out == chosen


def test_giving_executors_up_needs_time_in_reserve() -> None:
    options = [RuntimeForecast(2, 100.0), RuntimeForecast(4, 60.0)]
    for budget, chosen in [(105.0, 4), (110.0, 2)]:
        choice = choose_scale_out(
            options, budget, current_scale_out=4, scale_in_confidence=0.5, scale_in_reserve_seconds=10.0
        )
        assert choice.forecast.scale_out == chosen
    assert choose_scale_out(options, 105.0, current_scale_out=2, scale_in_reserve_seconds=10.0).meets_target


def test_no_forecasts_are_an_error() -> None:
    with pytest.raises(ValueError, match="no forecast"):
        choose_scale_out([], 1.0)


@given(forecasts, budgets, confidences)
def test_nothing_smaller_would_have_met_the_target(
    options: list[RuntimeForecast], budget: float, confidence: float
) -> None:
    choice = choose_scale_out(options, budget, confidence=confidence)
    fitting = {o.scale_out for o in options if o.bound_seconds(confidence) <= budget}
    assert choice.meets_target == bool(fitting)
    if fitting:
        assert choice.forecast.scale_out == min(fitting)
    else:
        assert choice.forecast.remaining_seconds == min(o.remaining_seconds for o in options)


@given(forecasts, budgets, st.floats(0, 1e4), confidences)
def test_a_later_target_never_raises_the_choice(
    options: list[RuntimeForecast], budget: float, more: float, confidence: float
) -> None:
    tight = choose_scale_out(options, budget, confidence=confidence)
    loose = choose_scale_out(options, budget + more, confidence=confidence)
    if tight.meets_target:
        assert loose.forecast.scale_out <= tight.forecast.scale_out


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_candidates_hold_both_ends_and_are_not_too_many(minimum: int, extent: int) -> None:
    candidates = candidate_scale_outs(minimum, minimum + extent, limit=64)
    assert candidates[0] == minimum
    assert candidates[-1] == minimum + extent
    assert list(candidates) == sorted(set(candidates))
    assert len(candidates) <= 64
