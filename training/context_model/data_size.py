"""How runtimes go with the size of the data: what grows with it, and whether it fits into memory.

A run starts a driver and executors, whatever its data; what comes after that grows with them. So short
runs gain less from less data than long ones, and one exponent for all of them is wrong about both. Runtimes
are brought to data of the usual size, where the model is fitted, and back.

What is kept in memory and does not fit is read or computed again: a cliff that depends on memory over
data, of all executors together, whichever of the three changes.

Numpy only. Axes: P points.
"""

import math

import numpy as np

from training.statistics.arrays import Floats

ENOUGH, LITTLE = math.log(2.0), math.log(0.25)
"""Logs of memory over data: from where on there is enough, and below which nothing gets worse."""

_LONGEST_START = 1e100
"""Runs' worth of start; with so much of it, nothing is left that grows."""

_MOST_GROWTH = 100.0


def at_usual_size(log_runtime: Floats, log_growth: Floats, start_seconds: float) -> Floats:
    """Log runtimes that runs would have with data of the usual size, (P,).

    Args:
        log_growth: How much more a run has to do beyond its start than with the usual size, (P,).
        start_seconds: What a long run takes to start; of one that takes as long, half of it.
    """
    # The positive root n of growth n^2 + (start - t) n - start t = 0, over t.
    growth = np.exp(np.clip(log_growth, -_MOST_GROWTH, _MOST_GROWTH))
    start = np.minimum(start_seconds * np.exp(-np.maximum(log_runtime, -500.0)), _LONGEST_START)
    root = np.sqrt((1.0 - start) ** 2 + 4.0 * growth * start)
    with np.errstate(divide="ignore", invalid="ignore"):  # the branch that is not taken
        ratio = np.where(
            start < 1.0, (1.0 - start + root) / (2.0 * growth), 2.0 * start / (start - 1.0 + root)
        )
    return np.asarray(log_runtime + np.log(ratio))


def at_size(log_usual: Floats, log_growth: Floats, start_seconds: float) -> tuple[Floats, Floats]:
    """Log runtimes from those with data of the usual size, and their derivatives by them, (P,) each."""
    log_start = math.log(start_seconds) if start_seconds else -math.inf
    growth = np.clip(log_growth, -_MOST_GROWTH, _MOST_GROWTH)
    grown, usual = np.logaddexp(log_start, log_usual + growth), np.logaddexp(log_start, log_usual)
    slope = 1.0 + np.exp(log_usual + growth - grown) - np.exp(log_usual - usual)
    return log_usual + grown - usual, slope


def shortage(log_memory_over_data: Floats) -> Floats:
    """Shortage of memory, from 0, where all data fit, to 1, (P,)."""
    return np.clip((ENOUGH - log_memory_over_data) / (ENOUGH - LITTLE), 0.0, 1.0)
