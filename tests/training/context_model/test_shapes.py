"""Simple shapes: what explains the points is believed, and what is left out is not looked at."""

import numpy as np
import pytest

from training.context_model.model import fit_context_model
from training.context_model.questions import EarlierRun, NoPrediction, Query
from training.context_model.shapes import Shapes, share_of_law

X = np.array([2.0, 4.0, 8.0, 16.0, 32.0])


def shapes_of(seconds: np.ndarray) -> Shapes:
    return Shapes(X, np.log(seconds), np.ones(len(X)))


@pytest.mark.parametrize(
    "law",
    [
        lambda x: 100.0 + 0.0 * x,
        lambda x: 1000.0 / x,
        lambda x: 30.0 + 800.0 / x,
        lambda x: np.where(x < 10, 400.0, 150.0),
    ],
    ids=["constant", "parallel", "Amdahl", "step"],
)
def test_laws_are_recognised(law) -> None:  # type: ignore[no-untyped-def]
    asked = np.array([3.0, 6.0, 20.0, 24.0])  # where a step is between 8 and 16, nobody can know
    found = shapes_of(law(X)).forecast(asked)
    assert np.abs(np.exp(found.mean) / law(asked) - 1.0).mean() < 0.1
    assert (found.variance > 0).all()


def test_a_run_that_is_far_off_bends_nothing() -> None:
    """A power law through it would be a third too low at the other end."""
    seconds = np.array([300.0, 100.0, 104.0, 97.0, 101.0])
    predicted = fit_context_model([EarlierRun({}, x, y) for x, y in zip(X, seconds, strict=True)]).predict(
        [Query({}, 24.0), Query({}, 40.0)]
    )
    assert not isinstance(predicted, NoPrediction)
    assert np.exp(predicted.log_mean) == pytest.approx([100.0, 100.0], rel=0.12)


def test_what_is_left_out_is_not_seen() -> None:
    seconds = 1000.0 / X
    other = seconds.copy()
    other[2] *= 5.0
    errors, moved = shapes_of(seconds).left_out_errors(), shapes_of(other).left_out_errors()
    assert moved[2] - errors[2] == pytest.approx(-np.log(5.0), abs=1e-9)


def test_repeated_runs_count_more() -> None:
    scale_outs, seconds = np.array([4.0, 16.0]), np.log([100.0, 200.0])
    even = Shapes(scale_outs, seconds, np.array([1.0, 1.0])).forecast(np.array([8.0]))
    once_and_often = Shapes(scale_outs, seconds, np.array([1.0, 4.0])).forecast(np.array([8.0]))
    assert once_and_often.mean[0] > even.mean[0]


def test_whoever_is_less_wrong_counts_more_and_few_points_say_little() -> None:
    small, large = np.full(6, 0.05), np.full(6, 0.4)
    assert share_of_law(small, large) > 0.95
    assert share_of_law(large, small) < 0.05
    assert 0.5 < share_of_law(small[:3], large[:3]) < share_of_law(small, large)
    assert share_of_law(np.full(2, 0.01), np.full(2, 1.0)) == 0.5
    assert share_of_law(np.full(4, 0.001), np.full(4, 0.02)) < 0.6, "both are as good as exact"


def test_where_there_are_other_contexts_they_say_how_the_law_goes() -> None:
    runs = [EarlierRun({"size": s}, x, s * (10 + 200 / x)) for s in (1.0, 2.0, 4.0) for x in (2, 4, 8, 16)]
    model = fit_context_model([*runs, EarlierRun({"size": 8.0}, 4, 480.0)])
    predicted = model.predict([Query({"size": 8.0}, 16)])
    assert not isinstance(predicted, NoPrediction)
    assert np.exp(predicted.log_mean[0]) == pytest.approx(8 * (10 + 200 / 16), rel=0.1)


def test_what_a_law_counts_comes_from_the_points_that_were_left_out() -> None:
    few, law, shape = np.full(12, 0.0), np.full(600, np.nan), np.full(600, np.nan)
    law[::50], shape[::50] = few + 0.05, few + 0.5
    assert share_of_law(law, shape) == pytest.approx(share_of_law(law[::50], shape[::50]))
    law[100:] = np.nan
    assert share_of_law(law, shape) == 0.5
