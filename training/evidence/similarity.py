"""Similarity of contexts: how much a run tells about another one."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from training.history.values import RunContext
from training.statistics.arrays import Floats

SAME_CONTEXT = 0.9
"""Similarity from which on two runs are in one context: nothing but the data size differs, and that by
less than a quarter."""


def similarity(contexts: Sequence[RunContext], target: RunContext) -> Floats:
    """Similarity of contexts to a target: how much a run there tells about one here, (R,), in (0, 1]."""
    return np.array([_similarity(context, target) for context in contexts])


@lru_cache(maxsize=4096)
def _similarity(context: RunContext, target: RunContext) -> float:
    longest = max(len(context.algorithm_args), len(target.algorithm_args), 1)
    same = sum(a == b for a, b in zip(context.algorithm_args, target.algorithm_args, strict=False))
    differing = max(len(context.algorithm_args), len(target.algorithm_args)) - same
    gap = log_size(context) - log_size(target)
    facts = ("data_characteristics", "machine_name", "environment_name", "executor_cores", "versions")
    others = sum(getattr(context, name) != getattr(target, name) for name in facts)
    return max(float(0.3 ** (differing / longest) * np.exp(-0.5 * (gap / 0.5) ** 2) * 0.6**others), 1e-4)


def log_size(context: RunContext) -> float:
    """Log of the data size in MB, 0 where that is unknown or below 1 MB."""
    return float(np.log(max(context.data_size_mb, 1)))
