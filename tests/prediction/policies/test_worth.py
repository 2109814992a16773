import math
from itertools import pairwise

import numpy as np
import pytest

from common.executions.candidate import Candidate
from prediction.policies.policy import Situation
from prediction.policies.scale_out_rule import ScaleOutRule, choose_scale_out
from prediction.policies.worth import lateness_seconds, worth_its_price

FLAT = [Candidate(x, 300.0 * (4 / x) ** 0.02, 0.15, 0.1) for x in (4, 8, 16, 36)]
PARALLEL = [Candidate(x, 4800.0 / x, 0.15, 0.1) for x in (4, 8, 16, 36)]


@pytest.mark.parametrize(("late", "early"), [(0.3, 0.1), (0.1, 0.3), (0.0, 0.0), (0.6, None)])
@pytest.mark.parametrize("budget", [-20.0, 0.0, 40.0, 100.0, 130.0])
def test_lateness_is_that_of_drawn_runs(late: float, early: float | None, budget: float) -> None:
    z = np.random.default_rng(0).standard_normal(400_000)
    drawn = 100.0 * np.exp(z * np.where(z > 0, late, late if early is None else early))
    (found,) = lateness_seconds([Candidate(4, 100.0, late, early)], budget)
    assert found == pytest.approx(np.maximum(drawn - budget, 0.0).mean(), rel=0.06, abs=0.1)


def test_stalls_that_befall_any_run_are_no_reason_for_executors() -> None:
    with_stalls, without = Candidate(4, 100.0, 0.9, 0.1, 0.1), Candidate(4, 100.0, 0.1, 0.1)
    assert lateness_seconds([with_stalls], 105.0) == lateness_seconds([without], 105.0)


def test_more_executors_are_not_taken_to_be_later() -> None:
    first, second = lateness_seconds([Candidate(4, 100.0, 0.1), Candidate(8, 120.0, 0.3)], 110.0)
    assert second == first


def test_nine_times_the_executors_are_not_taken_for_a_little_confidence() -> None:
    assert choose_scale_out(Situation(FLAT, 350.0), ScaleOutRule(0.97)).scale_out > 4
    chosen = choose_scale_out(Situation(FLAT, 350.0), ScaleOutRule(0.97, lateness_price=20.0))
    assert chosen.scale_out == 4
    assert "not worth their price" in chosen.reason


def test_executors_that_a_run_really_uses_are_taken() -> None:
    for rule in (ScaleOutRule(0.97), ScaleOutRule(0.97, lateness_price=20.0)):
        assert choose_scale_out(Situation(PARALLEL, 350.0), rule).scale_out == 36
        assert choose_scale_out(Situation(PARALLEL, 100.0), rule).scale_out == 36


@pytest.mark.parametrize("price", [0.0, 1.0, 20.0, math.inf])
def test_a_later_target_never_leads_to_more_executors(price: float) -> None:
    for candidates in (FLAT, PARALLEL):
        chosen = [
            worth_its_price(candidates[-1], candidates, budget, price).scale_out
            for budget in np.linspace(-50.0, 2000.0, 200)
        ]
        assert all(later <= earlier for earlier, later in pairwise(chosen))


def test_whoever_pays_nothing_for_lateness_gets_the_cheapest() -> None:
    assert worth_its_price(FLAT[-1], FLAT, 1.0, 0.0) is FLAT[0]
    assert worth_its_price(FLAT[-1], FLAT, 1.0, math.inf) is FLAT[-1]


def test_a_run_is_not_rescaled_for_next_to_nothing() -> None:
    nearly = [Candidate(4, 100.0, 0.1, 0.1), Candidate(5, 81.0, 0.1, 0.1), Candidate(6, 67.0, 0.1, 0.1)]
    for current in nearly:
        assert worth_its_price(nearly[2], nearly, 200.0, 20.0, current) is current
    assert worth_its_price(nearly[2], nearly, 200.0, 20.0) is nearly[0]


def test_where_nothing_is_left_to_compute_nothing_is_saved() -> None:
    done = [Candidate(x, 0.0, 0.1) for x in (2, 4, 6)]
    assert worth_its_price(done[-1], done, 5.0, 20.0, done[1]) is done[-1]
    rule = ScaleOutRule(0.97, lateness_price=20.0, scale_in_reserve_seconds=10.0)
    assert choose_scale_out(Situation(done, 5.0, 4), rule).scale_out == 4
