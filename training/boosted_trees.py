"""Gradient boosting on squared error with trees of few splits: invents no trend beyond what was seen.

Everything is small here (at most a thousand points, tens of thresholds), so every split is found by
one product with a table of all thresholds. Deterministic; numpy only.

Source: Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics,
2001; trees, depth and rate as scikit-learn has them by default.
"""

from dataclasses import dataclass

import numpy as np

from training.features import Bools, Floats

TREES, DEPTH, RATE = 100, 3, 0.1
MAX_THRESHOLDS = 16
"""Per column; evenly chosen among the steps between neighbouring values."""


@dataclass(frozen=True)
class BoostedTrees:
    """A sum of trees."""

    level: float
    columns: tuple[tuple[int, float], ...]
    """What a split may ask: whether a column is above a threshold."""
    splits: np.ndarray
    """Index of what each node asks, level by level, (T, 2^depth - 1)."""
    leaves: Floats
    """(T, 2^depth)"""

    def predict(self, features: Floats) -> Floats:
        """Values, (P,), for features (P, D)."""
        total = np.full(len(features), self.level)
        if not self.columns:
            return total
        above = _above(features, self.columns)
        rows = np.arange(len(features))
        for splits, leaves in zip(self.splits, self.leaves, strict=True):
            node = np.zeros(len(features), dtype=np.int64)
            for depth in range(DEPTH):
                node = 2 * node + above[rows, splits[2**depth - 1 + node]]
            total += leaves[node]
        return total


def fit_boosted_trees(features: Floats, values: Floats, weights: Floats) -> BoostedTrees:
    """Fit to values (P,) at features (P, D), each counting as its weight says (P,)."""
    level = float(np.average(values, weights=weights))
    columns = tuple(
        (number, float(threshold))
        for number, column in enumerate(features.T)
        for threshold in _thresholds(column)
    )
    nodes = (TREES, 2**DEPTH - 1)
    splits, leaves = np.zeros(nodes, dtype=np.int64), np.zeros((TREES, 2**DEPTH))
    if not columns:
        return BoostedTrees(level, (), splits, leaves)
    above = _above(features, columns)
    table = above.astype(np.float64)
    rest = values - level
    rows = np.arange(len(values))
    for tree in range(TREES):
        node = np.zeros(len(values), dtype=np.int64)
        for depth in range(DEPTH):
            members = (node == np.arange(2**depth)[:, None]) * weights
            splits[tree, 2**depth - 1 : 2 ** (depth + 1) - 1] = _best_splits(members, rest, table)
            node = 2 * node + above[rows, splits[tree, 2**depth - 1 + node]]
        total = np.bincount(node, weights, 2**DEPTH)
        sums = np.bincount(node, weights * rest, 2**DEPTH)
        leaves[tree] = RATE * sums / np.maximum(total, 1e-12)
        rest = rest - leaves[tree][node]
    return BoostedTrees(level, columns, splits, leaves)


def _best_splits(members: Floats, rest: Floats, table: Floats) -> np.ndarray:
    """Which question explains most within each node, (N,), given the weights of its members (N, P)."""
    weight, total = members.sum(axis=1, keepdims=True), (members @ rest)[:, None]
    above, sums = members @ table, (members * rest) @ table
    below = weight - above
    is_split = (above > 1e-9) & (below > 1e-9)
    explained = sums**2 / np.maximum(above, 1e-9) + (total - sums) ** 2 / np.maximum(below, 1e-9)
    return np.asarray(np.where(is_split, explained, -1.0).argmax(axis=1))


def _thresholds(column: Floats) -> Floats:
    """Between neighbouring values."""
    values = np.unique(column.round(9))
    between = (values[1:] + values[:-1]) / 2
    if len(between) <= MAX_THRESHOLDS:
        return np.asarray(between)
    return np.asarray(between[np.linspace(0, len(between) - 1, MAX_THRESHOLDS).astype(np.int64)])


def _above(features: Floats, columns: tuple[tuple[int, float], ...]) -> Bools:
    """Answers to all questions, (P, Q)."""
    which = [number for number, _ in columns]
    return np.asarray(features[:, which] > np.array([threshold for _, threshold in columns]))
