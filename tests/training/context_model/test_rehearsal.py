"""How wide intervals have to be, by contexts that are predicted from the others."""

import numpy as np
import pytest

from training.context_model.rehearsal import MAX_REHEARSED, Rehearsed, inflations

NOISE = 0.01
"""Variance of medians; that of single runs is five times as large."""


def context(scale: float = 1.0, size: int = 6, single: float = 0.0, seed: int = 0) -> Rehearsed:
    """Errors as the covariance has them, times a scale."""
    draw = np.random.default_rng(seed)
    covariance = 0.04 + 0.02 * np.eye(size) + NOISE * np.eye(size)
    error = scale * np.linalg.cholesky(covariance) @ draw.standard_normal(size)
    deviations = [single * draw.standard_normal(5) for _ in range(size)]
    return Rehearsed(error, covariance, np.full(size, NOISE), deviations)


def several(scale: float, single: float = 0.0) -> tuple[float, ...]:
    return inflations([context(scale, single=single, seed=seed) for seed in range(60)], 5 * NOISE)


def test_errors_as_large_as_believed_change_nothing() -> None:
    factors = several(1.0, single=(5 * NOISE) ** 0.5)
    assert len(factors) == MAX_REHEARSED + 1
    assert factors == pytest.approx([1.0] * len(factors), abs=0.12)


def test_larger_errors_widen_intervals_whatever_is_known() -> None:
    assert all(1.6 < inflation < 2.3 for inflation in several(2.0, single=2 * (5 * NOISE) ** 0.5))


def test_single_runs_that_are_far_off_widen_where_they_are_all_that_is_known() -> None:
    factors = several(1.0, single=5 * (5 * NOISE) ** 0.5)
    assert factors[1] > 1.3
    assert factors[0] == pytest.approx(1.0, abs=0.12)


def test_small_errors_narrow_only_the_intervals_of_a_single_context() -> None:
    assert several(0.2) == (1.0,) * (MAX_REHEARSED + 1)
    assert inflations([context(0.2)], 5 * NOISE)[-1] < 0.9


def test_a_point_is_predicted_from_those_kept() -> None:
    one = context(1.0, size=3)
    draw = np.random.default_rng(0)
    gain = np.linalg.solve(one.covariance[:2, :2], one.covariance[:2, 2])
    error = one.error[2] - gain @ one.error[:2]
    std = np.sqrt(one.covariance[2, 2] - gain @ one.covariance[:2, 2])
    assert one.given_runs([0, 1], NOISE, draw) == pytest.approx([error / std])
    assert one.one_by_one()[2] == pytest.approx(error / std)
    assert one.given_runs([], NOISE, draw) == pytest.approx(one.error / np.sqrt(np.diag(one.covariance)))


def test_without_anything_to_leave_out_intervals_are_wide() -> None:
    assert min(inflations([context(size=1)], NOISE)) > 1.0
