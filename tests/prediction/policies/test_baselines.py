"""Curves of remaining runtimes, and Ellis's rule."""

import pytest

from common.executions.candidate import Candidate
from common.settings.prediction import PredictionSettings
from prediction.forecasts.by_curve import CurveRequest, forecast_with_curve
from prediction.forecasts.curves import ernest_forecast
from prediction.forecasts.method import Method
from prediction.policies.by_rule import ByRule
from prediction.policies.ellis import Ellis
from prediction.policies.policy import Choice, Situation
from prediction.policies.registry import Policies
from prediction.policies.scale_out_rule import ScaleOutRule
from tests.support.synthetic import CONTEXT
from training.history.values import JobRecord, RunRecord

SECONDS = (40.0, 80.0, 40.0)
"""Of the jobs at one executor."""


def run_at(scale_out: int, change_point: int = 0) -> RunRecord:
    """A second before each job and after the last; below the change point all takes four times as long."""
    clock, jobs = 0.0, []
    for job_id, work in enumerate(SECONDS):
        seconds = work / scale_out * (4 if scale_out < change_point else 1)
        jobs.append(JobRecord(job_id, clock + 1.0, seconds, scale_out, scale_out, 0.0))
        clock += 1.0 + seconds
    return RunRecord(f"at-{scale_out}", CONTEXT, float(scale_out), tuple(jobs), clock + 1.0)


def asked(method: Method, after_job_id: int, candidates: tuple[int, ...] = (2, 4, 8)) -> CurveRequest:
    return CurveRequest(method, tuple(run_at(x) for x in (2, 3, 4, 6, 8)), CONTEXT, after_job_id, candidates)


@pytest.mark.parametrize("method", [Method.ERNEST, Method.BELL])
@pytest.mark.parametrize("after_job_id", [-1, 0, 1])
def test_curves_follow_what_is_left(method: Method, after_job_id: int) -> None:
    found = forecast_with_curve(asked(method, after_job_id))
    assert found.job_ids == tuple(range(after_job_id + 1, 3))
    left = sum(SECONDS[after_job_id + 1 :])
    for scale_out, remaining in zip(found.candidates, found.remaining_seconds, strict=True):
        gaps = 1.0 + len(found.job_ids)
        assert remaining[0] == pytest.approx(left / scale_out + gaps, rel=0.1)
        assert list(remaining) == sorted(remaining, reverse=True)


def test_bell_follows_a_change_point_that_ernest_smooths_away() -> None:
    runs = tuple(run_at(x, change_point=6) for x in (2, 3, 4, 5, 6, 7, 8, 9))
    at_six = {}
    for method in (Method.ERNEST, Method.BELL):
        found = forecast_with_curve(CurveRequest(method, runs, CONTEXT, -1, (6,)))
        at_six[method] = abs(found.remaining_seconds[0][0] - (runs[4].runtime_seconds or 0))
    assert at_six[Method.BELL] < at_six[Method.ERNEST]


def test_nothing_to_fit_is_told() -> None:
    assert "no earlier run" in (forecast_with_curve(CurveRequest(Method.BELL, (), CONTEXT, -1, (2,))).reason)
    assert "no job after 2" in (forecast_with_curve(asked(Method.ERNEST, 2)).reason)
    assert "no candidate" in (forecast_with_curve(asked(Method.ERNEST, -1, ())).reason)


def by_ellis(budget_seconds: float, current_scale_out: int, *, is_last: bool = False) -> Choice:
    """What Ellis chooses where 120 executor seconds are left, 40 of them of the next job."""
    candidates = [Candidate(x, 120.0 / x) for x in (2, 4, 8)]
    later = () if is_last else tuple(80.0 / x for x in (2, 4, 8))
    return Ellis(ByRule("ellis", Method.ERNEST_PER_JOB, ScaleOutRule())).next(
        Situation(candidates, budget_seconds, current_scale_out, after_next_job_seconds=later)
    )


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (60.0, 2),  # 20 s for the next job leave 40 s, which the rest takes
        (58.2, 2),  # 1.05 of 38.2 s is enough
        (57.0, 4),  # 40 s are too many for 37 s: 20 s are less than 0.9 of them
        (35.0, 8),  # 10 s are less than 0.9 of 15 s
        (22.0, 8),  # nothing is fast enough
        (90.0, 2),  # 40 s are less than 0.85 of 70 s; the smallest is the present one
    ],
)
def test_ellis_rescales_beyond_its_band(budget: float, chosen: int) -> None:
    assert by_ellis(budget, 2).scale_out == chosen


def test_ellis_gives_executors_up() -> None:
    assert by_ellis(300.0, 8).scale_out == 2


def test_ellis_leaves_the_last_job_alone() -> None:
    choice = by_ellis(1.0, 4, is_last=True)
    assert (choice.scale_out, choice.meets_target) == (4, False)


def test_baselines_decide_by_medians_and_nobody_beyond_the_limit() -> None:
    found = forecast_with_curve(asked(Method.ERNEST, -1, (2, 3, 4, 8)))
    budget = found.remaining_seconds[2][0] + 0.5
    settings = PredictionSettings(target_confidence=0.95, stay_confidence=0.95, max_rescalings=3)

    def chosen(name: str, rescalings: int) -> int:
        situation = Situation(found.choices(budget), budget, 2, 2, rescalings, found.after_next_job_seconds)
        return Policies(settings).get(name).next(situation).scale_out

    assert (chosen("ernest", 0), chosen("enel", 0)) == (4, 8)
    assert {chosen(name, 3) for name in ("ernest", "bell", "ellis", "enel")} == {2}


def test_one_curve_per_job_is_asked_for_like_the_others() -> None:
    request = asked(Method.ERNEST_PER_JOB, 0)
    assert forecast_with_curve(request) == ernest_forecast(request.history, 0, (2, 4, 8), context=CONTEXT)
