import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prediction.forecasts.curves import KernelCurve, ernest_forecast, fit_bell, fit_ernest
from tests.support.synthetic import CONTEXT, make_history, make_run


def test_ernest_recovers_known_coefficients() -> None:
    x = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32])
    curve = fit_ernest(x, 5 + 100 / x + 2 * np.log(x) + 0.3 * x)
    assert curve.coefficients == pytest.approx((5, 100, 2, 0.3), rel=1e-6)


def test_few_points() -> None:
    assert fit_ernest([4], [10]).predict([1, 4, 100]) == pytest.approx(np.full(3, 10.0))
    assert fit_ernest([4, 4, 4], [9, 10, 11]).predict([1, 30]) == pytest.approx(np.full(2, 10.0))
    two = fit_ernest([2, 4], [60, 35])
    assert two.predict([2, 4]) == pytest.approx(np.array([60, 35]))
    assert two.coefficients[2:] == (0.0, 0.0)
    assert fit_ernest([2, 4], [0, 0]).predict([3]) == pytest.approx(np.zeros(1))


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1, 2], [1]), ([0], [1]), ([-1], [1]), ([1], [float("nan")]), ([1], [-1])]
)
def test_impossible_points(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError):
        fit_ernest(x, y)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1e5)), min_size=1, max_size=12))
def test_curves_are_finite_and_never_negative(points: list[tuple[int, float]]) -> None:
    x, y = zip(*points, strict=True)
    for curve in (fit_ernest(x, y), fit_bell(x, y)):
        predicted = curve.predict(np.arange(1, 201))
        assert np.isfinite(predicted).all()
        assert (predicted >= 0).all()


def test_bell_takes_the_parametric_curve_where_it_holds_and_the_kernel_at_a_change_point() -> None:
    x = np.array([2, 4, 6, 8, 12, 16])
    assert fit_bell(x, 3 + 50 / x).predict([24]) == pytest.approx(3 + 50 / 24, rel=0.01)
    x = np.arange(14, 36, 2)
    change_point = fit_bell(x, np.where(x >= 24, 20.0, 80.0))
    assert isinstance(change_point, KernelCurve)
    assert change_point.predict([15])[0] > 70
    assert change_point.predict([33])[0] < 30


def test_forecast_adds_up_jobs_and_the_time_between_them() -> None:
    history = make_history((1, 2, 3, 4, 6), noise=0.0)
    result = ernest_forecast(history, -1, (1, 4), context=CONTEXT)
    run = make_run(9, 4, noise=0.0)
    assert result.job_ids == tuple(range(12))
    assert result.remaining_seconds[1][0] == pytest.approx(run.runtime_seconds, rel=0.06)
    later = ernest_forecast(history, 5, (4,))
    assert run.runtime_seconds is not None
    assert later.remaining_seconds[0][0] == pytest.approx(
        run.runtime_seconds - run.jobs[5].end_seconds, rel=0.06
    )
    assert later.job_ids == tuple(range(6, 12))
    assert 0.1 <= later.predictive_stds[0].log_std < 0.3


def test_nothing_to_forecast_from() -> None:
    assert ernest_forecast([], -1, (1, 2)).reason
    assert ernest_forecast(make_history((2, 4)), 11, (1, 2)).reason
    assert ernest_forecast(make_history((2, 4)), 1, ()).reason
