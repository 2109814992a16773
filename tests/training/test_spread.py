"""How sure forecasts are: what usually happens, and stalls that happen everywhere."""

import numpy as np
import pytest

from training.features import Floats
from training.spread import LeftOutErrors, Spread, local_spread

RUNS = 60
SMALL, LARGE = np.log(8.0), np.log(32.0)
STALL = 0.5


def left_out(stalled: Floats) -> LeftOutErrors:
    """One cut of runs at two scale-outs in turn, off by about 5%; stalled ones by half of their log."""
    error = 0.05 * np.random.default_rng(0).standard_normal(RUNS) - STALL * stalled
    place = np.where(np.arange(RUNS) % 2, LARGE, SMALL)
    return LeftOutErrors(error, np.zeros(RUNS, np.int64), place, np.arange(RUNS))


def test_without_stalls_there_is_one_spread() -> None:
    found = local_spread(left_out(np.zeros(RUNS)), 0, np.array([SMALL, LARGE]), jobs=10)
    assert found.stalls == ()
    np.testing.assert_array_equal(found.log_std, found.avoidable_log_std)
    assert found.log_std.max() < 0.1


def test_stalls_at_every_scale_out_are_told_apart() -> None:
    stalled = (np.arange(RUNS) % 6 < 2).astype(float)  # a third of the runs at either scale-out
    found = local_spread(left_out(stalled), 0, np.array([SMALL, LARGE]), jobs=10)
    assert found.log_std.min() > 0.2
    assert found.avoidable_log_std.max() < 0.15
    assert found.stalls == pytest.approx([STALL] * 4, abs=0.2)
    assert list(found.stalls) == sorted(found.stalls)


def test_late_and_early_runs_are_told_apart() -> None:
    late = (np.arange(RUNS) % 6 < 2).astype(float)
    places = np.array([SMALL, LARGE])
    found = local_spread(left_out(late), 0, places, jobs=10)
    assert found.log_std.min() > 3 * found.early_log_std.max()
    mirrored = local_spread(left_out(late)._replace(error=-left_out(late).error), 0, places, jobs=10)
    np.testing.assert_allclose(mirrored.log_std, found.early_log_std)
    np.testing.assert_allclose(mirrored.early_log_std, found.log_std)


def test_intervals_of_either_side_hold_nine_in_ten_errors_together() -> None:
    random = np.random.default_rng(1)
    error = np.where(random.random(400) < 0.5, 0.1, -0.3) * np.abs(random.standard_normal(400))
    known = LeftOutErrors(error, np.zeros(400, np.int64), np.full(400, SMALL), np.arange(400))
    side = local_spread(known, 0, np.array([SMALL]), jobs=10).each()[0]
    inside = (error < 1.645 * side.early_log_std) & (error > -1.645 * side.log_std)
    assert 0.86 < inside.mean() < 0.94


def test_runs_that_went_alike_say_how_sure_a_forecast_is() -> None:
    late = (np.arange(RUNS) % 6 < 2).astype(float)
    known = left_out(late)._replace(slowness=np.where(late > 0, 0.3, 0.0))
    places = np.array([SMALL, LARGE])
    usual, slow = (local_spread(known, 0, places, jobs=10, slowness=of) for of in (0.0, 0.3))
    assert slow.log_std.min() > 0.3
    assert usual.log_std.max() < 0.5 * slow.log_std.min()
    before = local_spread(known._replace(cut=np.full(RUNS, -1)), -1, places, jobs=10, slowness=0.3)
    unknown = local_spread(left_out(late)._replace(cut=np.full(RUNS, -1)), -1, places, jobs=10)
    np.testing.assert_array_equal(before.log_std, unknown.log_std)


def test_what_is_unusual_widens_both_sides_and_stalls() -> None:
    found = local_spread(left_out((np.arange(RUNS) % 6 < 2).astype(float)), 0, np.array([SMALL]), jobs=10)
    wider = found.widened(2.0, np.array([0.1]))
    for side, before in zip(wider[:3], found[:3], strict=True):
        np.testing.assert_allclose(side, np.hypot(2.0 * before, 0.1))
    assert wider.stalls == pytest.approx([2.0 * size for size in found.stalls])
    assert wider.each() == (
        Spread(*(float(side[0]) for side in wider[:3]), wider.stalls),
    )  # fmt: skip


def test_what_happens_below_a_cliff_only_is_no_such_stall() -> None:
    stalled = (np.arange(RUNS) % 6 == 0).astype(float)  # a third of the runs at the smaller one
    found = local_spread(left_out(stalled), 0, np.array([SMALL, LARGE]), jobs=10)
    assert found.avoidable_log_std[0] > 0.2
    assert found.avoidable_log_std[0] > 0.9 * found.log_std[0]
    assert found.log_std[1] < 0.1
