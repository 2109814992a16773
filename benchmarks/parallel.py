"""Processes for benchmarks: as many as there are cores, each computing with one of them."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def process_pool(processes: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Processes that do not share cores: linear algebra would otherwise use all of them in each.

    What waits is cancelled when the block is left early, by an error or from the keyboard.

    Args:
        processes: As many as there are cores by default.
    """
    for name in _THREADS:  # read when numpy is loaded: not by this process any more
        os.environ.setdefault(name, "1")
    pool = ProcessPoolExecutor(processes or os.cpu_count(), get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
