"""How sure forecasts are: what usually happens, and stalls that happen everywhere."""

from dataclasses import replace

import numpy as np
import pytest

from training.statistics.arrays import Floats
from training.statistics.predictive_std import (
    PREDICTIVE_STD_FLOOR,
    LeftOutErrors,
    PredictiveStd,
    local_predictive_stds,
)

RUNS = 60
SMALL, LARGE = np.log(8.0), np.log(32.0)
STALL = 0.5


def left_out(stalled: Floats) -> LeftOutErrors:
    """One cut of runs at two scale-outs in turn, off by about 5%; stalled ones by half of their log."""
    error = 0.05 * np.random.default_rng(0).standard_normal(RUNS) - STALL * stalled
    log_scale_out = np.where(np.arange(RUNS) % 2, LARGE, SMALL)
    return LeftOutErrors(error, np.zeros(RUNS, np.int64), log_scale_out, np.arange(RUNS), jobs=10)


def test_without_stalls_there_is_one_std() -> None:
    stds = local_predictive_stds(left_out(np.zeros(RUNS)), 0, np.array([SMALL, LARGE]))
    np.testing.assert_array_equal(stds.log_std, stds.avoidable_log_std)
    assert stds.log_std.max() < 0.1


def test_stalls_at_every_scale_out_are_told_apart() -> None:
    stalled = (np.arange(RUNS) % 6 < 2).astype(float)  # a third of the runs at either scale-out
    stds = local_predictive_stds(left_out(stalled), 0, np.array([SMALL, LARGE]))
    assert stds.log_std.min() > 0.2
    assert stds.avoidable_log_std.max() < 0.15


def test_runs_that_are_late_get_the_most_executors_and_stall_no_more_for_that() -> None:
    """A sixth of all runs stall, all of them at the larger scale-out: no more than a sixth is set aside."""
    stalled = (np.arange(RUNS) % 6 == 1).astype(float)
    stds = local_predictive_stds(left_out(stalled), 0, np.array([SMALL, LARGE]))
    assert stds.avoidable_log_std.max() < 0.15


def test_late_and_early_runs_are_told_apart() -> None:
    late = (np.arange(RUNS) % 6 < 2).astype(float)
    log_scale_outs = np.array([SMALL, LARGE])
    stds = local_predictive_stds(left_out(late), 0, log_scale_outs)
    assert stds.log_std.min() > 3 * stds.early_log_std.max()
    mirrored = local_predictive_stds(replace(left_out(late), error=-left_out(late).error), 0, log_scale_outs)
    assert mirrored.early_log_std.min() > 3 * mirrored.log_std.max()


def test_intervals_of_either_side_hold_nine_in_ten_errors_together() -> None:
    random = np.random.default_rng(1)
    error = np.where(random.random(400) < 0.5, 0.1, -0.3) * np.abs(random.standard_normal(400))
    errors = LeftOutErrors(error, np.zeros(400, np.int64), np.full(400, SMALL), np.arange(400), jobs=10)
    side = local_predictive_stds(errors, 0, np.array([SMALL])).each()[0]
    inside = (error < 1.645 * side.early_log_std) & (error > -1.645 * side.log_std)
    assert 0.86 < inside.mean() < 0.94


def test_where_errors_are_larger_forecasts_are_less_sure() -> None:
    errors = left_out(np.zeros(RUNS))
    larger = replace(errors, error=errors.error * np.where(errors.log_scale_out == SMALL, 4.0, 1.0))
    small, large = local_predictive_stds(larger, 0, np.array([SMALL, LARGE])).log_std
    assert small > 2 * large
    later = replace(
        errors, cut=np.arange(RUNS) % 10, error=errors.error * np.where(np.arange(RUNS) % 10 > 4, 4.0, 1.0)
    )
    before, after = (local_predictive_stds(later, cut, np.array([SMALL])).log_std[0] for cut in (0, 9))
    assert after > 2 * before


def test_few_runs_make_forecasts_less_sure() -> None:
    many = left_out(np.zeros(RUNS))
    few = LeftOutErrors(many.error[:6], many.cut[:6], many.log_scale_out[:6], many.run[:6], jobs=10)
    log_scale_outs = np.array([SMALL])
    assert local_predictive_stds(few, 0, log_scale_outs).log_std[0] * 1.645 >= np.abs(few.error).max() * 0.9
    single = LeftOutErrors(many.error[:1], many.cut[:1], many.log_scale_out[:1], many.run[:1], jobs=10)
    assert np.isfinite(local_predictive_stds(single, 0, log_scale_outs).log_std).all()


def test_a_run_that_was_far_off_does_not_excuse_itself() -> None:
    """Its error counts against what is usual for all others."""
    errors = left_out((np.arange(RUNS) == 7).astype(float))
    assert errors.late[7] > 5
    assert errors.late.argmax() == 7


def test_distance_from_all_runs_widens_both_sides() -> None:
    stds = local_predictive_stds(left_out((np.arange(RUNS) % 6 < 2).astype(float)), 0, np.array([SMALL]))
    wider = stds.widened(np.array([0.1]))
    for side, before in zip(wider, stds, strict=True):
        np.testing.assert_allclose(side, np.hypot(before, 0.1))
    assert wider.each() == (PredictiveStd(*(float(side[0]) for side in wider)),)


def test_what_happens_below_a_change_point_only_is_no_such_stall() -> None:
    stalled = (np.arange(RUNS) % 6 == 0).astype(float)  # a third of the runs at the smaller one
    stds = local_predictive_stds(left_out(stalled), 0, np.array([SMALL, LARGE]))
    assert stds.avoidable_log_std[0] > 0.2
    assert stds.avoidable_log_std[0] > 0.9 * stds.log_std[0]
    assert stds.log_std[1] < 0.6 * stds.log_std[0]


def test_errors_of_a_single_run_are_taken_as_they_are() -> None:
    errors = left_out(np.zeros(RUNS))
    single = LeftOutErrors(errors.error[:3], np.arange(3), errors.log_scale_out[:3], np.full(3, 5), jobs=10)
    assert single.runs == 1
    assert np.isfinite(single.late).all()
    assert np.isfinite(local_predictive_stds(single, 1, np.array([SMALL, LARGE])).log_std).all()


def with_late_runs(late: float) -> LeftOutErrors:
    """A third of the runs were late by as much at the cut, and their errors are six times as large."""
    errors, of = left_out(np.zeros(RUNS)), np.arange(RUNS) % 6 < 2
    return replace(errors, error=errors.error * np.where(of, 6.0, 1.0), lateness=np.where(of, late, 0.0))


def test_runs_that_are_late_already_are_less_sure_where_such_runs_were() -> None:
    errors, log_scale_outs = with_late_runs(0.4), np.array([SMALL, LARGE])
    as_expected, late, unknown = (
        local_predictive_stds(errors, 0, log_scale_outs, lateness) for lateness in (0.0, 0.4, None)
    )
    for side in range(len(late)):
        assert late[side].min() > 1.5 * as_expected[side].max()
    assert late.log_std.min() > unknown.log_std.max() > as_expected.log_std.max()
    same = replace(errors, lateness=None)
    for given in (0.4, None):
        stds = local_predictive_stds(same, 0, log_scale_outs, given)
        np.testing.assert_array_equal(stds, local_predictive_stds(same, 0, log_scale_outs))


def test_a_run_later_than_all_others_is_as_sure_as_they_are_together() -> None:
    errors, log_scale_outs = with_late_runs(0.4), np.array([SMALL, LARGE])
    far = errors.usual(0, log_scale_outs, np.full(2, 3.0))
    np.testing.assert_allclose(far, errors.usual(0, log_scale_outs), rtol=1e-6)


def test_one_late_run_counts_beside_two_that_are_as_all_others() -> None:
    single = replace(
        left_out(np.zeros(RUNS)),
        error=np.where(np.arange(RUNS) == 1, 0.3, 0.1),
        lateness=np.where(np.arange(RUNS) == 1, 0.4, 0.0),
    )
    log_scale_outs, lateness = np.array([SMALL]), np.array([0.4])
    wider = single.usual(0, log_scale_outs, lateness) / single.usual(0, log_scale_outs)
    of_all = (0.3**2 + (RUNS - 1) * 0.1**2) / RUNS
    assert wider[0] ** 2 == pytest.approx((0.3**2 + 2 * of_all) / 3 / of_all, rel=0.02)
    certain = replace(single, error=np.zeros(RUNS))
    assert certain.usual(0, log_scale_outs, lateness)[0] == PREDICTIVE_STD_FLOOR
