"""What is known of machine types that no run was on: where to fall back, and which is faster.

Two things guard a smooth law that is carried to another machine:

- boosted trees over the same features. They carry no trend beyond what was seen, and are asked where
  the machine is all that is new;
- order: a machine with less of every resource is not faster. How much slower it is cannot be learned
  from machines of one size, and a law that is flat in the scale-out says nothing of it: more executors
  leave the serial part as it is, smaller ones do not. Only the sign is certain, and only where one
  machine has clearly more of everything: otherwise anything else about them may decide.

Sources: Da Veiga and Marrel, Gaussian process modeling with inequality constraints, Annales de la
Faculté des Sciences de Toulouse, 2012; Rasmussen and Williams, 2006, section 3.9, for the moments.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from training.context_model.encoding import Encoding
from training.statistics.arrays import Bools, Floats

CLEARLY_MORE = math.log(1.5)
"""How much more of every resource is beyond what else machines differ in. Sizes come in steps of two."""

MOST_VALUES = 32
"""Values of a category that trees may split at, the most frequent ones: paths of outputs never come again."""

TREES_SHARE = 0.25
"""What boosted trees count, where they are asked: they know no law of the scale-out."""


class Spots(NamedTuple):
    """Points at which runtimes are known, or wanted."""

    numeric: Floats
    """(P, F)"""
    categories: Floats
    """(P, C)"""
    scale_outs: Floats
    """(P,)"""

    @property
    def features(self) -> Floats:
        """Features but for the scale-out, (P, F + C)."""
        return np.concatenate([self.numeric, self.categories], axis=1)


class Counterparts(NamedTuple):
    """Counterparts of unseen points: the same runs on machines that are known."""

    rows: NDArray[np.int64]
    """Indices of the points that have one, (R,)."""
    moved: Spots
    """Those points with the features of the known machine of the nearest size, (R,)."""
    sign: Floats
    """1 where the known machine is the larger one, -1 where it is the smaller one, (R,)."""


def is_unseen(asked_spots: Spots, known_spots: Spots, environment: Bools) -> Bools:
    """Whether points are on machines that no run was on, (P,).

    Args:
        environment: Which features tell machines apart, (F + C,); without any of them, nothing is unseen.
    """
    machines = np.unique(known_spots.features[:, environment].round(9), axis=0)
    is_known = (asked_spots.features[:, None, environment].round(9) == machines).all(axis=2).any(axis=1)
    return np.asarray(~is_known)


def is_within(asked_spots: Spots, known_spots: Spots, environment: Bools) -> Bools:
    """Whether points have nothing new but the machine: known values, within known ranges, (P,)."""
    width = asked_spots.numeric.shape[1]
    numbers = ~environment[:width]
    values, seen = asked_spots.numeric[:, numbers].round(9), known_spots.numeric[:, numbers].round(9)
    inside = ((values >= seen.min(axis=0)) & (values <= seen.max(axis=0))).all(axis=1)
    return np.asarray(inside & (asked_spots.categories[:, ~environment[width:]] >= 0).all(axis=1))


def counterparts(
    asked_spots: Spots, known_spots: Spots, resources: Sequence[int], environment: Bools
) -> Counterparts:
    """Find known machines to compare unseen ones with.

    Args:
        resources: Which numeric features every executor adds.
        environment: Which features tell machines apart, (F + C,).
    """
    if not resources:
        none = np.zeros(0, dtype=np.int64)
        return Counterparts(none, Spots(*(array[none] for array in asked_spots)), np.zeros(0))
    features, earlier = asked_spots.features, known_spots.features
    first = np.unique(earlier[:, environment].round(9), axis=0, return_index=True)[1]
    more = earlier[first][:, list(resources)] - features[:, None, list(resources)]
    clear = np.abs(more).min(axis=2, initial=np.inf) >= CLEARLY_MORE
    clear &= (np.sign(more) == np.sign(more[:, :, :1])).all(axis=2)
    clear &= is_unseen(asked_spots, known_spots, environment)[:, None]
    rows = np.flatnonzero(clear.any(axis=1))
    nearest = np.where(clear, np.abs(more).sum(axis=2), np.inf)[rows].argmin(axis=1)
    moved = np.where(environment, earlier[first[nearest]], features[rows])
    width = asked_spots.numeric.shape[1]
    spots = Spots(moved[:, :width], moved[:, width:], asked_spots.scale_outs[rows])
    return Counterparts(rows, spots, np.sign(more[rows, nearest, 0]))


def by_trees(
    known_spots: Spots, log_runtime: Floats, counts: Floats, asked_spots: Spots, encoding: Encoding
) -> Floats:
    """Log runtimes as boosted trees have them, (P,).

    Resources are those of all executors together. Where machines differ in several at once, splits at
    any of them explain the same; the mean of trees that prefer the first and the last takes no side.
    """
    others = [number for number in range(len(encoding.numeric)) if number not in encoding.resources]
    frequent = _frequent(known_spots.categories, [len(values) for values in encoding.values])

    def columns(spots: Spots) -> Floats:
        log_scale_out = np.log(spots.scale_outs)[:, None]
        totals = log_scale_out + spots.numeric[:, list(encoding.resources)]
        codes = [spots.categories == of_category for of_category in frequent.T]
        return np.concatenate([spots.numeric[:, others], log_scale_out, totals, *codes], axis=1)

    from sklearn.ensemble import GradientBoostingRegressor  # a second's import, for unseen machines only

    def predict(seen: Floats, wanted: Floats) -> Floats:
        trees = GradientBoostingRegressor(random_state=0).fit(seen, log_runtime, sample_weight=counts)
        return np.asarray(trees.predict(wanted))

    seen, wanted = columns(known_spots), columns(asked_spots)
    return (predict(seen, wanted) + predict(seen[:, ::-1], wanted[:, ::-1])) / 2


def _frequent(categories: Floats, values: Sequence[int]) -> Floats:
    """Codes of each category to tell apart, (C, K); -2 where there are no more, which no point has.

    Args:
        categories: Codes of known points, (P, C).
        values: How many each category has, (C,).
    """
    found = np.full((len(values), min(max(values, default=0), MOST_VALUES)), -2.0)
    for category, number in enumerate(values):
        codes = np.arange(number)
        if number > MOST_VALUES:
            counts = np.bincount(categories[:, category].astype(int) + 1, minlength=number + 1)[1:]
            codes = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
        found[category, : len(codes)] = codes
    return found


def not_below(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Truncate a normal distribution at 0: what its mean gains, and its variance loses.

    Source: Rasmussen and Williams, 2006, section 3.9, for the moments.

    Returns:
        Gain of the mean, and the share of the variance that is lost, in [0, 1).
    """
    std = np.sqrt(variance)
    ratio = mean / std
    hazard = np.exp(-0.5 * ratio**2 - 0.5 * math.log(2 * math.pi) - log_ndtr(ratio))
    return std * hazard, np.clip(hazard * (hazard + ratio), 0.0, 1.0)
