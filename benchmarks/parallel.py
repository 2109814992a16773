"""Processes for benchmarks, each computing with one core."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def process_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that do not share cores: linear algebra would otherwise use all of them in each.

    What waits is cancelled when the block is left early, by an error or from the keyboard.
    """
    for name in _THREADS:  # read when numpy is loaded: not by this process any more
        os.environ.setdefault(name, "1")
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
