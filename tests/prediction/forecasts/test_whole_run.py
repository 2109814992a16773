"""Whole runs before they start: change points, contexts that are new, and next to no history."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction.first_choice import FirstChoice, choose_first
from prediction.forecasts.by_context import context_features, run_scale_out
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import (
    CONTEXT_MODEL,
    MODEL,
    SIMILAR_RUNS,
    UNVALIDATED_WHOLE_RUN_LOG_STD,
    WholeRunForecast,
    forecast_whole_run,
)
from prediction.policies.by_rule import ByRule
from prediction.policies.scale_out_rule import ScaleOutRule
from tests.support.synthetic import CONTEXT, make_history, make_run
from training.history.values import JobRecord, RunContext, RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain
from training.statistics.predictive_std import symmetric_std

CANDIDATES = tuple(range(2, 13))


def run_of(
    number: int, scale_out: int, seconds: float, context: RunContext = CONTEXT, jobs: int = 4
) -> RunRecord:
    """A run of equal jobs that takes this long, but for a few percent."""
    took = seconds * float(np.exp(0.03 * np.random.default_rng(number).standard_normal()))
    records = tuple(
        JobRecord(job, job * took / jobs, took / jobs, scale_out, scale_out, 0.0) for job in range(jobs)
    )
    return RunRecord(f"run-{number}", context, 1_700_000_000.0 + 1000 * number, records, took)


def seconds_at(forecast: WholeRunForecast, scale_out: int) -> float:
    return forecast.runtime_seconds[forecast.candidates.index(scale_out)]


def std_at(forecast: WholeRunForecast, scale_out: int) -> float:
    return forecast.predictive_stds[forecast.candidates.index(scale_out)].log_std


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    torch.set_num_threads(1)
    return pretrain(make_history((2, 3, 4, 6, 8, 4)), Hyperparameters(), max_epochs=5, seed=0)


def test_without_a_run_and_a_model_there_is_no_prediction() -> None:
    forecast = forecast_whole_run([], None, CONTEXT, CANDIDATES)
    assert not forecast.candidates
    assert forecast.reason == "no finished run of Clustering is known"


def test_runs_that_show_nothing_are_no_history() -> None:
    empty = RunRecord("empty", CONTEXT, 0.0)
    assert not forecast_whole_run([empty], None, CONTEXT, CANDIDATES).candidates


def test_one_run_says_something_but_is_not_sure() -> None:
    forecast = forecast_whole_run([run_of(0, 4, 100.0)], None, CONTEXT, CANDIDATES)
    assert (forecast.source, forecast.runs) == (CONTEXT_MODEL, 1)
    assert seconds_at(forecast, 4) == pytest.approx(100.0, rel=0.1)
    assert seconds_at(forecast, 8) < seconds_at(forecast, 4) < seconds_at(forecast, 2)
    assert min(std.log_std for std in forecast.predictive_stds) >= UNVALIDATED_WHOLE_RUN_LOG_STD
    assert std_at(forecast, 12) > std_at(forecast, 4)


@pytest.mark.parametrize("scale_outs", [(3, 6), (3, 6, 12), (2, 4, 6, 12), (2, 3, 4, 6, 12)])
def test_few_runs_of_a_context_have_the_shape_of_a_law(scale_outs: tuple[int, ...]) -> None:
    """Similar runs alone would say their mean wherever none of them was."""
    history = [run_of(n, x, 20.0 + 600.0 / x) for n, x in enumerate(scale_outs)]
    forecast = forecast_whole_run(history, None, CONTEXT, CANDIDATES)
    assert forecast.source == CONTEXT_MODEL
    for x in (2, 4, 8, 12):
        assert seconds_at(forecast, x) == pytest.approx(20.0 + 600.0 / x, rel=0.3)


def test_what_runs_had_at_most_is_known_to_whoever_chooses(trained: TrainedModel) -> None:
    assert forecast_whole_run([run_of(0, 4, 100.0)], None, CONTEXT, CANDIDATES).seen_scale_out == 4
    assert forecast_whole_run([run_of(0, 4, 100.0)], trained, CONTEXT, CANDIDATES).seen_scale_out == 8
    assert forecast_whole_run([], trained, CONTEXT, CANDIDATES).seen_scale_out == 8
    assert forecast_whole_run([], None, CONTEXT, CANDIDATES).seen_scale_out is None
    found = forecast_whole_run([run_of(0, 2, 100.0)], None, CONTEXT, CANDIDATES)
    policy = ByRule("enel", Method.MODEL, ScaleOutRule(extrapolation_limit=2.0))
    assert choose_first(policy, found, 1.0).scale_out == 4


def test_the_model_answers_where_it_knows_the_context(trained: TrainedModel) -> None:
    history = make_history((2, 3, 4, 6, 8, 4))
    forecast = forecast_whole_run(history, trained, CONTEXT, CANDIDATES)
    assert {source for source, _ in forecast.left_out_errors} == {MODEL, SIMILAR_RUNS, CONTEXT_MODEL}
    assert seconds_at(forecast, 4) == pytest.approx(history[2].runtime_seconds or 0, rel=0.15)
    alone = forecast_whole_run([], trained, CONTEXT, CANDIDATES)
    assert (alone.source, alone.runs) == (MODEL, 6)


def test_the_model_is_not_asked_about_a_context_it_never_saw(trained: TrainedModel) -> None:
    """Four times the data, of which runs without a model are known."""
    larger = replace(CONTEXT, data_size_mb=4 * CONTEXT.data_size_mb)
    history = make_history((2, 3, 4, 6, 8, 4))
    forecast = forecast_whole_run(history, trained, larger, CANDIDATES)
    assert forecast.source == CONTEXT_MODEL
    assert forecast.reason == "no earlier run in this context"
    assert seconds_at(forecast, 4) > 1.1 * (history[2].runtime_seconds or 0)
    assert std_at(forecast, 4) > std_at(forecast_whole_run(history, None, CONTEXT, CANDIDATES), 4)


def test_a_model_that_knows_no_such_context_is_no_history(trained: TrainedModel) -> None:
    forecast = forecast_whole_run([], trained, replace(CONTEXT, machine_name="other"), CANDIDATES)
    assert not forecast.candidates
    assert "no run in this context" in forecast.reason


def test_a_change_point_is_not_smoothed_away() -> None:
    """Below six executors the data does not fit into memory."""
    scale_outs = (2, 3, 4, 5, 6, 7, 8, 10, 12, 5, 6, 4, 7)
    history = [run_of(i, x, (200.0 if x >= 6 else 900.0) * x**-0.2) for i, x in enumerate(scale_outs)]
    forecast = forecast_whole_run(history, None, CONTEXT, CANDIDATES)
    assert seconds_at(forecast, 4) > 2.5 * seconds_at(forecast, 8)
    assert (
        choose_first(ByRule("enel", Method.MODEL, ScaleOutRule(confidence=0.8)), forecast, 190.0).scale_out
        >= 6
    )


def test_other_contexts_carry_over_to_a_new_size() -> None:
    """Runtime goes with the data size; half as long on twice the executors."""
    history = [
        run_of(10 * i + x, x, 0.1 * size / x, replace(CONTEXT, data_size_mb=size))
        for i, size in enumerate((1000, 2000, 8000, 16000))
        for x in (2, 4, 8)
    ]
    forecast = forecast_whole_run(history, None, replace(CONTEXT, data_size_mb=4000), CANDIDATES)
    assert (forecast.source, forecast.runs) == (CONTEXT_MODEL, 12)
    assert seconds_at(forecast, 4) == pytest.approx(100.0, rel=0.2)
    assert std_at(forecast, 4) < 0.4


def test_an_unseen_machine_type_widens_the_interval() -> None:
    history = [run_of(x, x, 400.0 / x) for x in (2, 3, 4, 6, 8, 12)]
    usual = forecast_whole_run(history, None, CONTEXT, CANDIDATES)
    other = replace(CONTEXT, machine_name="c9.huge", executor_cores=8)
    forecast = forecast_whole_run(history, None, other, CANDIDATES)
    assert forecast.reason == "no earlier run on machine type 'c9.huge'"
    assert min(s.log_std for s in forecast.predictive_stds) > max(s.log_std for s in usual.predictive_stds)


def test_a_scale_out_far_from_all_runs_is_less_sure() -> None:
    history = [run_of(i, x, 400.0 / x) for i, x in enumerate((2, 3, 4, 3, 2, 4))]
    forecast = forecast_whole_run(history, None, CONTEXT, (2, 3, 4, 100))
    assert std_at(forecast, 100) > 1.2 * std_at(forecast, 3)
    assert np.isfinite(forecast.runtime_seconds).all()


def test_forecasts_repeat_themselves() -> None:
    history = [run_of(i, x, 400.0 / x) for i, x in enumerate((2, 3, 4, 8))]
    assert forecast_whole_run(history, None, CONTEXT, CANDIDATES) == forecast_whole_run(
        history[::-1], None, CONTEXT, CANDIDATES
    )


def test_a_rescaled_run_counts_at_a_scale_out_between() -> None:
    jobs = (JobRecord(0, 0.0, 90.0, 2, 2, 0.0), JobRecord(1, 90.0, 10.0, 8, 8, 0.0))
    assert 2.0 < run_scale_out(RunRecord("r", CONTEXT, 0.0, jobs, 100.0)) < 3.0
    assert run_scale_out(make_run(0, 6)) == pytest.approx(6.0)


def test_arguments_become_features_by_name() -> None:
    context = RunContext("A", ("in.csv", "--k", "5", "--rate=0.1", "--fast", "--shift", "-3"))
    features = context_features(context)
    expected = {
        "argument 0": "in.csv",
        "argument --k": "5",
        "argument --rate": "0.1",
        "argument --shift": "-3",
    }
    assert expected.items() <= features.items()
    assert features["argument --fast"] is True


def whole_runs(values: list[tuple[float, float]]) -> WholeRunForecast:
    """Medians, and how sure they are, with one executor and more."""
    medians = tuple(median for median, _ in values)
    predictive_stds = tuple(symmetric_std(std) for _, std in values)
    scale_outs = tuple(range(1, len(values) + 1))
    return WholeRunForecast(scale_outs, medians, predictive_stds, source="s", runs=1)


MEDIANS_AND_STDS = st.lists(st.tuples(st.floats(1.0, 1e5), st.floats(0.01, 1.5)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(values=MEDIANS_AND_STDS, target=st.floats(1.0, 1e5), confidence=st.floats(0.5, 0.95))
def test_the_nearest_feasible_target_is_met_and_nothing_below(
    values: list[tuple[float, float]], target: float, confidence: float
) -> None:
    policy = ByRule("enel", Method.MODEL, ScaleOutRule(confidence=confidence))

    def answer(seconds: float) -> FirstChoice:
        return choose_first(policy, whole_runs(values), seconds)

    choice = answer(target)
    nearest = choice.nearest_feasible_target_seconds
    assert nearest is not None
    assert choice.fastest_runtime_seconds is not None
    assert choice.feasible == (choice.fastest_runtime_seconds <= target)
    assert choice.feasible == any((each.probability or 0.0) >= 0.5 for each in choice.candidates)
    assert not (choice.feasible and "is expected to stay" in choice.reason)
    assert not (choice.feasible is False and "sure enough" in choice.reason)
    assert "best chance" not in answer(nearest).reason
    assert answer(nearest).feasible
    assert "best chance" in answer(0.999 * nearest).reason
    for each in choice.candidates:
        assert each.lower_seconds is not None
        assert each.upper_seconds is not None
        assert each.lower_seconds < each.remaining_seconds < each.upper_seconds
