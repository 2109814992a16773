"""What is expected of every node at scale-outs, and kept for the next time.

Numpy only. Axes: N nodes, X scale-outs.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from training.history.values import RunContext
from training.statistics.arrays import Floats

KEPT_NODES = 500_000
"""Nodes, counted once for each scale-out and context, of which expectations are kept: 32 MB."""


class Expectation(NamedTuple):
    """Expected runtimes and metrics of every node at given scale-outs."""

    log_runtime: Floats
    """(X, N)"""
    std: Floats
    """Standard deviation of the log runtime, (X, N): disagreement of the laws and distance to earlier
    runs."""
    deviation: Floats
    """Log runtime of the most similar runs beyond the law, (X, N)."""
    metrics: Floats
    """log1p of the ratios in similar runs, (X, N, 5); 0 where none were recorded."""


class KnownExpectations:
    """Expectations in the latest contexts, computed at each scale-out once."""

    def __init__(self, compute: Callable[[Floats, RunContext], Expectation], nodes: int) -> None:
        self._compute, self._most = compute, KEPT_NODES // max(nodes, 1)
        self._known: OrderedDict[RunContext, dict[float, tuple[Floats, ...]]] = OrderedDict()

    def __len__(self) -> int:
        """Scale-outs that are known, in all contexts together."""
        return sum(map(len, self._known.values()))

    def at(self, scale_outs: Floats, context: RunContext) -> Expectation:
        """Expectation at scale-outs (X,), which may recur."""
        known = self._known.pop(context, {})
        unknown = [each for each in dict.fromkeys(scale_outs.tolist()) if each not in known]
        if unknown:
            known |= zip(unknown, zip(*self._compute(np.array(unknown), context), strict=True), strict=True)
        self._known[context] = known
        while self._known and len(self) > self._most:
            self._known.popitem(last=False)
        return Expectation(*map(np.stack, zip(*(known[each] for each in scale_outs.tolist()), strict=True)))
