"""What was to be had at best: linear programs against what is known without them."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.hindsight import Choices, Draw, choices_per_job, static_choices
from benchmarks.limits import read_results, targets_alike
from benchmarks.simulator import Application, Conditions, Regime, SimulatedRun

CANDIDATES = (4, 8, 16, 32)
DRAWS = [Draw(number, 0, number > 8) for number in range(12)]


def application(slopes: tuple[float, ...]) -> Application:
    """Jobs of 100 s at one executor, runs up to 20% apart, executors' deaths cost 10 s."""
    residuals = np.linspace(-0.2, 0.2, 5)[:, None] * np.ones(len(slopes))
    regime = Regime(np.full(len(slopes), np.log(100.0)), np.array(slopes), residuals)
    return Application("Plain", (regime,), np.zeros(1), np.array([10.0]))


def static(of: Application, target_seconds: float) -> Choices:
    return static_choices(of, target_seconds, DRAWS, CANDIDATES)


def test_limits_buy_executor_hours() -> None:
    choices = Choices(
        executor_hours=np.array([[1.0, 4.0], [1.0, 2.0], [1.0, 9.0]]),
        over=np.array([[0.1, 0.0], [0.2, 0.0], [0.5, 0.3]]),
        normal=np.array([True, True, False]),
    )
    assert choices.least_missed() == pytest.approx(1 / 3)
    assert choices.least_hours() == pytest.approx(1.0)
    assert choices.least_hours(1 / 3) == pytest.approx((4 + 2 + 1) / 3)
    assert choices.least_hours(2 / 3) == pytest.approx((1 + 2 + 1) / 3)
    assert choices.least_hours(1.0, 0.05) == pytest.approx((1 + 2 + 1) / 3)  # the second, overrun by more
    assert np.isnan(choices.least_hours(0.2))


def test_the_best_static_choice_is_the_smallest_that_fits() -> None:
    choices = static(application((1.0, 1.0, 1.0)), 30.0)
    cheapest = np.where(choices.over == 0, choices.executor_hours, np.inf).min(axis=1)
    assert np.isfinite(cheapest).all()
    assert choices.least_hours(0.0) == pytest.approx(cheapest.mean())


@pytest.mark.parametrize(("slopes", "target"), [((0.6, 0.6, 0.6), 80.0), ((0.1, 0.8, 0.4), 160.0)])
def test_nobody_does_better_than_a_choice_per_job(slopes: tuple[float, ...], target: float) -> None:
    of = application(slopes)
    one, each = static(of, target), choices_per_job(of, target, DRAWS, CANDIDATES)
    assert each.least_missed() <= one.least_missed() < 0.3
    for missed in (one.least_missed(), 0.3, 1.0):
        assert each.least_hours(missed) <= one.least_hours(missed) * 1.01
    if len(set(slopes)) > 1:  # jobs that executors do not help need none
        assert each.least_hours(0.3) < 0.9 * one.least_hours(0.3)


@pytest.mark.parametrize("number", [3, 9])
def test_time_is_told_from_work_as_it_is_played(number: int) -> None:
    of = application((0.1, 0.2, 0.1))
    run = SimulatedRun(of, number, 0, number > 8, Conditions())
    work = float(run.job_seconds((8,)).sum())
    assert run.clock_seconds(work) == pytest.approx(run.play(8).runtime_seconds)
    assert (run.clock_seconds(work) > work) == (number > 8)


def test_results_of_another_kind_are_told(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"values": {"seeds": 2}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"results\.json is no result of runtime_targets\.py"):
        read_results(path)
    policies = {"ours": {"cvc": 0.1}}
    result = {"application": "MPC", "factor": 1.0, "policies": policies}
    results = [{**result, "variant": "standard"}, {**result, "variant": "slow"}]
    path.write_text(json.dumps({"values": {"seeds": 2, "results": results}}), encoding="utf-8")
    read = read_results(path)
    assert (read.seeds, read.runs, read.policies) == (2, 55, {("MPC", 1.0): policies})


def test_hindsight_is_asked_about_the_runs_and_targets_of_the_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    about = {"seeds": 1, "runs": 20, "targets": {"MPC": 11.0}}
    path.write_text(json.dumps({"values": {**about, "results": []}}), encoding="utf-8")
    read = read_results(path)
    assert read.runs == 20
    assert targets_alike(read, {"MPC": 9.0, "KMeans": 14.0}, {}) == {"MPC": 11.0, "KMeans": 14.0}
    assert targets_alike(read, {"MPC": 11.0}, {"MPC": 11.0}) == {"MPC": 11.0}
    with pytest.raises(ValueError, match="a target of 11 min for MPC"):
        targets_alike(read, {"MPC": 9.0}, {"MPC": 9.0})
