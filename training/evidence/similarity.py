"""Similarity of contexts: how much a run tells about another one."""

import math
from collections.abc import Callable, Sequence
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

_FACTS = ("data_characteristics", "machine_name", "environment_name", "executor_cores", "versions")
"""Of which each that differs makes a run tell less."""

_SIZE_STD = 0.5
"""Standard deviation of the log of data sizes over which runs tell of each other."""


def similarity(contexts: Sequence[RunContext], target: RunContext) -> Floats:
    """Similarity of contexts to a target: how much a run there tells about one here, (R,), in (0, 1]."""
    return np.array([_similarity(context, target) for context in contexts])


@lru_cache(maxsize=4096)
def _similarity(context: RunContext, target: RunContext) -> float:
    longest = max(len(context.algorithm_args), len(target.algorithm_args), 1)
    same = sum(a == b for a, b in zip(context.algorithm_args, target.algorithm_args, strict=False))
    differing = max(len(context.algorithm_args), len(target.algorithm_args)) - same
    gap = log_size(context) - log_size(target)
    others = sum(getattr(context, name) != getattr(target, name) for name in _FACTS)
    others += abs(log_memory(context) - log_memory(target)) >= math.log(_OTHER_MEMORY)
    share = max(differing / longest, _OTHER_ARGUMENTS) if differing else 0.0
    return max(float(0.3**share * np.exp(-0.5 * (gap / _SIZE_STD) ** 2) * 0.6**others), 1e-4)


def context_groups(contexts: Sequence[RunContext]) -> list[int]:
    """Numbers of contexts from 0 on, (R,): equal ones are one context, as `SAME_CONTEXT` has it.

    Sizes that grow from run to run are cut where the first one of a group is out of reach.
    """
    reach = _SIZE_STD * math.sqrt(-2.0 * math.log(SAME_CONTEXT))
    alike: dict[tuple[object, ...], list[int]] = {}
    for row, context in enumerate(contexts):
        key = (context.algorithm_args, *(getattr(context, name) for name in _FACTS))
        alike.setdefault(key, []).append(row)
    found, number = [0] * len(contexts), -1
    for rows in alike.values():
        for of_memory in _cut(rows, lambda row: log_memory(contexts[row]), math.log(_OTHER_MEMORY)):
            for of_size in _cut(of_memory, lambda row: log_size(contexts[row]), reach):
                number += 1
                for row in of_size:
                    found[row] = number
    return found


def _cut(rows: Sequence[int], value: Callable[[int], float], reach: float) -> list[list[int]]:
    """Rows by their values, cut into parts none of which is wider than the reach."""
    parts: list[list[int]] = []
    for row in sorted(rows, key=value):
        if not parts or value(row) - value(parts[-1][0]) >= reach:
            parts.append([])
        parts[-1].append(row)
    return parts


def log_memory(context: RunContext) -> float:
    """Log of an executor's memory in MB, 0 where that is unknown."""
    return math.log(max(context.executor_memory_mb, 1))


def log_size(context: RunContext) -> float:
    """Log of the data size in MB, 0 where that is unknown or below 1 MB."""
    return float(np.log(max(context.data_size_mb, 1)))
