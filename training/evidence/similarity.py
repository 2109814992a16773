"""Similarity of contexts: how much a run tells about another one."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from training.history.values import RunContext
from training.statistics.arrays import Floats

SAME_CONTEXT = 0.9
"""Similarity from which on two runs are in one context: nothing differs but the data size and the memory of
executors, and these by less than a quarter."""

_OTHER_ARGUMENTS = 0.1
"""Share of the arguments that one counts for at least, however many there are."""

_OTHER_MEMORY = 1.25
"""Ratio of memory from which on it is another one."""


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
    memory = sorted((max(context.executor_memory_mb, 1), max(target.executor_memory_mb, 1)))
    others += memory[1] >= _OTHER_MEMORY * memory[0]
    share = max(differing / longest, _OTHER_ARGUMENTS) if differing else 0.0
    return max(float(0.3**share * np.exp(-0.5 * (gap / 0.5) ** 2) * 0.6**others), 1e-4)


def log_size(context: RunContext) -> float:
    """Log of the data size in MB, 0 where that is unknown or below 1 MB."""
    return float(np.log(max(context.data_size_mb, 1)))
