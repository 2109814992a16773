"""How sure forecasts are: what usually happens, and stalls that happen everywhere."""

import numpy as np
import pytest

from training.features import Floats
from training.rest import LeftOutErrors, local_spread

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


def test_what_happens_below_a_cliff_only_is_no_such_stall() -> None:
    stalled = (np.arange(RUNS) % 6 == 0).astype(float)  # a third of the runs at the smaller one
    found = local_spread(left_out(stalled), 0, np.array([SMALL, LARGE]), jobs=10)
    assert found.avoidable_log_std[0] > 0.2
    assert found.avoidable_log_std[0] > 0.9 * found.log_std[0]
    assert found.log_std[1] < 0.1
