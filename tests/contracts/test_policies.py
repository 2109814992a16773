"""What holds for every policy: `prediction.policies.policy`."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.executions.candidate import Candidate
from common.executions.documents import ScalingDecision
from common.settings.prediction import PredictionSettings
from prediction.decisions import Progress, situation_of
from prediction.first_choice import FirstChoice, choose_first
from prediction.forecasts.forecast import Forecast
from prediction.forecasts.whole_run import WholeRunForecast
from prediction.policies.policy import Choice, Policy, Situation
from prediction.policies.registry import POLICIES, Policies, PolicyNotFound
from prediction.policies.static import Static
from prediction.requests import RunRequest
from tests.support.samples import execution
from training.statistics.predictive_std import symmetric_std

SETTINGS = (
    PredictionSettings(),
    PredictionSettings(infeasible_target="cheapest", max_rescalings=3),
    PredictionSettings(lateness_price=0.0, fastest_tolerance=0.0),
)
EVERY_POLICY = [
    pytest.param(policies.get(name), id=f"{name}-{number}")
    for number, policies in enumerate(map(Policies, SETTINGS))
    for name in POLICIES
]

candidates = st.lists(
    st.builds(
        Candidate,
        scale_out=st.integers(1, 40),
        remaining_seconds=st.floats(0.1, 1e4),
        log_std=st.floats(0, 1),
        early_log_std=st.none() | st.floats(0, 1),
        avoidable_log_std=st.none() | st.floats(0, 1),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda candidate: candidate.scale_out,
)
so_far = st.fixed_dictionaries(
    {
        "current_scale_out": st.integers(1, 40),
        "asked_scale_out": st.integers(0, 40),
        "rescalings": st.integers(0, 25),
        "seen_scale_out": st.none() | st.integers(1, 40),
    }
)
budgets = st.floats(-100, 2e4)


def later(candidates: Sequence[Candidate], share: float) -> tuple[float, ...]:
    """What is left after the next job, where that takes the rest of this share."""
    return tuple(share * each.remaining_seconds for each in candidates)


def check(choice: Choice, situation: Situation) -> None:
    assert choice.candidate in situation.candidates
    assert choice.reason
    assert isinstance(choice.meets_target, bool)


@pytest.mark.parametrize("policy", EVERY_POLICY)
@given(candidates=candidates, budget=budgets, run=so_far, share=st.floats(0, 1))
def test_one_of_the_candidates_is_chosen_and_why(
    policy: Policy, candidates: list[Candidate], budget: float, run: dict[str, Any], share: float
) -> None:
    before = Situation(candidates, budget, seen_scale_out=run["seen_scale_out"])
    check(policy.first(before), before)
    for after_next in ((), later(candidates, share)):
        during = Situation(candidates, budget, **run, after_next_job_seconds=after_next)
        check(policy.next(during), during)


@pytest.mark.parametrize("policy", EVERY_POLICY)
@given(candidates=candidates, passed=st.floats(-100, 0), run=so_far, share=st.floats(0, 1))
def test_a_target_that_has_passed_is_missed_and_one_that_is_far_away_is_met(
    policy: Policy, candidates: list[Candidate], passed: float, run: dict[str, Any], share: float
) -> None:
    for budget, is_met in ((passed, False), (1e9, True)):
        before = Situation(candidates, budget, seen_scale_out=run["seen_scale_out"])
        assert policy.first(before).meets_target is is_met
        for after_next in ((), later(candidates, share)):
            during = Situation(candidates, budget, **run, after_next_job_seconds=after_next)
            assert policy.next(during).meets_target is is_met


@pytest.mark.parametrize("policy", EVERY_POLICY)
@given(candidates=candidates, budget=budgets, run=so_far, share=st.floats(0, 1))
def test_the_same_situation_gives_the_same_choice(
    policy: Policy, candidates: list[Candidate], budget: float, run: dict[str, Any], share: float
) -> None:
    situation = Situation(candidates, budget, **run, after_next_job_seconds=later(candidates, share))
    assert policy.next(situation) == policy.next(situation)
    assert policy.first(Situation(candidates, budget)) == policy.first(Situation(candidates, budget))


@pytest.mark.parametrize("policy", [each for each in EVERY_POLICY if each.values[0].later_targets_save])
@given(candidates=candidates, budget=budgets, more=st.floats(0, 1e4), run=so_far)
def test_a_later_target_never_means_more_executors(
    policy: Policy, candidates: list[Candidate], budget: float, more: float, run: dict[str, Any]
) -> None:
    seen = run["seen_scale_out"]
    tight, loose = (
        policy.first(Situation(candidates, seconds, seen_scale_out=seen))
        for seconds in (budget, budget + more)
    )
    assert loose.scale_out <= tight.scale_out
    tight, loose = (policy.next(Situation(candidates, seconds, **run)) for seconds in (budget, budget + more))
    assert loose.scale_out <= tight.scale_out


@pytest.mark.parametrize("policy", EVERY_POLICY)
@given(candidates=candidates)
def test_the_target_that_it_needs_is_the_smallest_that_it_meets(
    policy: Policy, candidates: list[Candidate]
) -> None:
    """Up to rounding: a margin is multiplied with on one side and divided by on the other."""
    needed = policy.needed_seconds(candidates)
    assert needed > 0
    assert "expected to stay within" not in policy.first(Situation(candidates, needed * 1.000001)).reason
    assert not policy.first(Situation(candidates, needed * 0.999)).meets_target


@pytest.mark.parametrize("policy", EVERY_POLICY)
@given(candidates=candidates)
def test_a_target_that_has_passed_is_said_to_have(policy: Policy, candidates: list[Candidate]) -> None:
    late = Situation(candidates, -12.5, after_next_job_seconds=[1.0 for _ in candidates])
    assert "within -" not in policy.next(late).reason


@pytest.mark.parametrize("policy", [each for each in EVERY_POLICY if not each.values[0].rescales])
@given(candidates=candidates, budget=budgets)
def test_who_does_not_rescale_stays(policy: Policy, candidates: list[Candidate], budget: float) -> None:
    for candidate in candidates:
        situation = Situation(candidates, budget, candidate.scale_out)
        assert policy.next(situation).candidate == candidate


class Remembering(Static):
    """Keeps something in mind from before the run on."""

    def first(self, situation: Situation) -> Choice:
        return replace(super().first(situation), memory={"seen": [1, 2.5], "by": {"name": None}})


def test_what_is_remembered_before_a_run_is_handed_back_during_it() -> None:
    policy = Remembering("remembering", Policies(PredictionSettings()).get("enel"))
    found = WholeRunForecast((2, 4), (90.0, 50.0), (symmetric_std(0.1),) * 2, source="similar-runs", runs=3)
    choice = choose_first(policy, found, 60.0)
    assert "policy_memory" not in choice.model_dump()
    decision = ScalingDecision.from_mongo(choice.to_decision(run := execution()).to_mongo())
    assert FirstChoice.of(decision) == choice
    progress = Progress(run, latest_job_id=0, elapsed_seconds=5.0, current_scale_out=4, before=decision)
    remaining = Forecast((1,), (2, 4), ((70.0,), (40.0,)), (symmetric_std(0.1),) * 2)
    assert situation_of(remaining, progress).memory == {"seen": [1, 2.5], "by": {"name": None}}


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="no forecast"):
        Situation([], 1.0)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_found_by_its_name_and_requests_may_name_it(name: str) -> None:
    assert Policies(PredictionSettings()).get(name).name == name
    assert RunRequest.model_validate(request(name)).global_specs.solution_name == name


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    known = re.escape(", ".join(POLICIES))
    with pytest.raises(PolicyNotFound, match=f"'magic'; known: {known}"):
        Policies(PredictionSettings()).get("magic")
    with pytest.raises(ValidationError, match=f"'magic'; known: {known}"):
        RunRequest.model_validate(request("magic"))


def request(solution_name: str) -> dict[str, Any]:
    return {
        "global_specs": {
            "solution_name": solution_name,
            "experiment_name": "contract",
            "algorithm_name": "KMeans",
            "data_size_MB": 1,
            "min_scale_out": 1,
            "max_scale_out": 4,
            "max_runtime": 60,
        }
    }
