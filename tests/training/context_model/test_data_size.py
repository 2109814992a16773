"""What grows with the data, and memory that they do not fit into."""

import math

import numpy as np
import pytest

from training.context_model.assumptions import TERMS, Assumptions
from training.context_model.data_size import ENOUGH, LITTLE, at_size, at_usual_size, shortage
from training.context_model.encoding import Encoding
from training.context_model.model import ContextModel, fit_context_model
from training.context_model.questions import EarlierRun, NoPrediction, Query, RuntimePrediction
from training.statistics.arrays import Floats

RUNTIMES = np.log([1e-300, 0.5, 20.0, 60.0, 3600.0, 1e6, 1e300])
GROWTHS = np.array([-30.0, -1.0, 0.0, 0.7, 30.0])


def pairs() -> tuple[Floats, Floats]:
    runtimes, growths = np.meshgrid(RUNTIMES, GROWTHS)
    return runtimes.ravel(), growths.ravel()


@pytest.mark.parametrize("start", [0.0, 30.0])
def test_runtimes_come_back_from_the_usual_size(start: float) -> None:
    runtimes, growths = pairs()
    back, slope = at_size(at_usual_size(runtimes, growths, start), growths, start)
    assert np.abs(back - runtimes).max() < 1e-6
    assert (slope > 0).all()


def test_the_slope_is_the_derivative() -> None:
    usual, growths = pairs()
    usual, growths = np.clip(usual, -3.0, 14.0), np.clip(growths, -3.0, 3.0)
    above, below = (at_size(usual + step, growths, 30.0)[0] for step in (1e-5, -1e-5))
    assert np.allclose(at_size(usual, growths, 30.0)[1], (above - below) / 2e-5, atol=1e-6)


def test_long_runs_grow_as_their_data_and_short_ones_hardly_do() -> None:
    twice = np.full(3, math.log(2.0))
    grown = np.exp(at_size(np.log([36_000.0, 300.0, 1.0]), twice, 30.0)[0]) / [36_000.0, 300.0, 1.0]
    assert grown[0] == pytest.approx(2.0, abs=0.01)
    assert 1.8 < grown[1] < 1.95
    assert grown[2] < 1.05


def test_without_a_start_everything_grows() -> None:
    runtimes, growths = pairs()
    assert np.allclose(at_size(runtimes, growths, 0.0)[0], runtimes + growths)


def test_shortage_is_of_memory_over_data() -> None:
    assert shortage(np.array([ENOUGH + 1, ENOUGH, LITTLE, LITTLE - 5])).tolist() == [0.0, 0.0, 1.0, 1.0]
    encoding = Encoding.of(
        [{"memory": 8.0, "size": 16.0}, {"memory": 16.0, "size": 16.0}],
        ["memory"],
        ["size"],
        True,
        ["memory"],
    )
    numeric, _ = encoding.encode([{"memory": 8.0, "size": 8.0}, {"memory": 16.0, "size": 32.0}])
    scale_outs = np.array([1.0, 2.0])
    expected = ENOUGH / (ENOUGH - LITTLE)
    assert encoding.shortage(numeric, scale_outs) == pytest.approx([expected, expected])


def test_without_memory_or_sizes_nothing_is_known_to_be_short() -> None:
    encoding = Encoding.of([{"memory": 8.0, "size": 16.0}], ["memory"], [], True, ["memory"])
    numeric, _ = encoding.encode([{"memory": 1e-3, "size": 1e9}])
    assert encoding.shortage(numeric, np.ones(1)).tolist() == [0.0]


def history(size: float, *, cached: bool = False) -> list[EarlierRun]:
    """Runs on three kinds of machines; with a cache, four times as long below 0.9 of memory over data."""
    runs = []
    for cores, memory in ((4, 16.0), (8, 16.0), (8, 64.0)):
        for x in (2, 4, 8, 16):
            seconds = 20.0 + 400.0 * size / cores / x
            slow = cached and x * memory / size < 0.9
            runs.append(
                EarlierRun({"cores": cores, "gb": memory, "size": size}, x, seconds * (4 if slow else 1))
            )
    return runs


def fitted(runs: list[EarlierRun], assumptions: Assumptions | None = None) -> ContextModel:
    return fit_context_model(
        runs, resources=("cores", "gb"), sizes=("size",), memory=("gb",), assumptions=assumptions
    )


def asked(model: ContextModel, runs: list[EarlierRun]) -> tuple[Floats, RuntimePrediction]:
    """Log errors, and the prediction."""
    prediction = model.predict([Query(run.context, run.scale_out) for run in runs])
    assert not isinstance(prediction, NoPrediction)
    return prediction.log_mean - np.log([run.runtime_seconds for run in runs]), prediction


@pytest.mark.parametrize(("known", "other"), [(10.0, 20.0), (20.0, 10.0)])
def test_another_size_of_data_is_near_proportional_and_less_sure(known: float, other: float) -> None:
    model = fitted(history(known))
    error, prediction = asked(model, history(other))
    assert np.abs(error).mean() < 0.1  # the start is 20 s, not what is believed
    _, same = asked(model, history(known))
    assert (prediction.log_std > 2 * same.log_std).all()


def test_a_few_runs_of_the_other_size_make_it_surer() -> None:
    few, rest = history(20.0)[::4], [run for i, run in enumerate(history(20.0)) if i % 4]
    _, before = asked(fitted(history(10.0)), rest)
    _, after = asked(fitted([*history(10.0), *few]), rest)
    assert after.log_std.mean() < 0.7 * before.log_std.mean()


def test_a_cliff_is_where_memory_over_data_says_not_where_a_scale_out_does() -> None:
    known, other = history(40.0, cached=True), history(80.0, cached=True)
    with_memory = np.abs(asked(fitted(known), other)[0]).mean()
    without = Assumptions(terms=tuple(term for term in TERMS if term != "memory"))
    assert with_memory < 0.5 * np.abs(asked(fitted(known, without), other)[0]).mean()
    assert with_memory < 0.3


def test_where_all_data_fit_memory_changes_no_prediction() -> None:
    known, other = history(1.0), history(2.0)
    without = Assumptions(terms=tuple(term for term in TERMS if term != "memory"))
    _, one = asked(fitted(known), other)
    _, two = asked(fitted(known, without), other)
    assert one.log_mean == pytest.approx(two.log_mean, abs=1e-3)


def test_models_stored_before_sizes_had_a_term_predict_as_they_did() -> None:
    """As of version 2 of the format, without a start, with sizes among the linear features."""
    older = Assumptions(
        terms=tuple(term for term in TERMS if term not in ("size", "memory")),
        size_exponent=0.4,
        start_seconds=0.0,
    )
    model = fitted(history(10.0), older)
    settings, arrays = model.to_parts()
    del settings["assumptions"]["start_seconds"], settings["encoding"]["memory"]
    read = ContextModel.from_parts(settings, arrays)
    assert read.assumptions == older
    assert asked(read, history(30.0))[0].tolist() == asked(model, history(30.0))[0].tolist()
    gap = asked(read, history(30.0))[1].log_mean - asked(read, history(10.0))[1].log_mean
    assert 0.3 * math.log(3.0) < gap.min() <= gap.max() < 0.5 * math.log(3.0)
