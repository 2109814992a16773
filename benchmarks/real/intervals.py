"""95% intervals of shares, means and ratios of means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.statistics.arrays import Floats

_NORMAL_QUANTILE = 1.959964
"""End of a normal distribution's 95% interval, in standard deviations."""

_RESAMPLES = 10_000
_ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


def wilson(successes: int, of: int) -> Interval:
    """A share with its score interval (Wilson, JASA 1927). Raises ValueError where it is of nothing."""
    if of < 1 or not 0 <= successes <= of:
        raise ValueError(f"{successes} of {of} is no share")
    share, z = successes / of, _NORMAL_QUANTILE
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """A mean with its percentile bootstrap. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("there is no mean of nothing")
    found = np.asarray(values, dtype=np.float64)
    means = found[_resampled(len(found), seed)].mean(axis=1)
    return _interval(float(found.mean()), means)


def ratio_interval(values: Sequence[float], baseline: Sequence[float], seed: int = 0) -> Interval:
    """Mean over the baseline's mean; both are of the same rounds, which are drawn together.

    Raises:
        ValueError: They are not of the same number of rounds, of none, or the baseline is not positive.
    """
    if len(values) != len(baseline) or not values:
        raise ValueError(f"{len(values)} values and {len(baseline)} of a baseline are no pairs")
    above, below = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if (below <= 0).any():
        raise ValueError("the baseline is not positive")
    drawn = _resampled(len(above), seed)
    ratios = above[drawn].mean(axis=1) / below[drawn].mean(axis=1)
    return _interval(float(above.mean() / below.mean()), ratios)


def _resampled(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(count, size=(_RESAMPLES, count))


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.percentile(resampled, _ENDS)
    return Interval(value, float(low), float(high))
