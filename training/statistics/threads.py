"""One thread for all computing: tables are small, and threads would only wait for each other."""

from functools import cache

import torch
from threadpoolctl import threadpool_limits


@cache
def compute_in_one_thread() -> None:
    """Hold torch and the linear algebra of numpy and scipy to one thread, as long as it lives."""
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
