"""Worker processes for whatever computes longer than an event loop may wait.

A time limit around an ordinary pool frees the caller and leaves the worker stuck; pebble's pool
ends the worker and starts another.
"""

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, TimeoutError
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from common.errors import ServiceError

logger = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class WorkerFailed(ServiceError):
    """The computation took too long, raised, or its process died."""

    status, title = 500, "The computation failed"


class WorkerPool:
    """Processes that take one request at a time; a request is a picklable value of ours."""

    def __init__(self, workers: int, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=0,
            initializer=_prepare_worker,
            initargs=[os.getpid()],
            # Forking a process that has threads and an event loop invites deadlocks.
            context=multiprocessing.get_context("spawn"),
        )

    def warm_up(self) -> None:
        """Start a worker now instead of with the first request; returns at once."""
        self._pool.schedule(os.getpid)

    async def run(self, function: Callable[[Request], Answer], request: Request) -> Answer:
        """Call `function(request)` in a worker.

        Raises:
            WorkerFailed: No answer within the time limit (the worker is replaced), or an error.
        """
        try:
            future = self._pool.schedule(function, args=[request], timeout=self._timeout_seconds)
            answer: Answer = await asyncio.wrap_future(future)
            return answer
        except TimeoutError as error:
            raise WorkerFailed(f"No result within {self._timeout_seconds:g} s.") from error
        except (ProcessExpired, CancelledError) as error:
            raise WorkerFailed(f"The worker process ended: {error}") from error
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise WorkerFailed(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        self._pool.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.to_thread(self._pool.join, 5)


def _prepare_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the service's to handle
    threading.Thread(target=_end_with_parent, args=[parent], daemon=True).start()
    import torch

    torch.set_num_threads(1)
    # Takes seconds, which the first request should not have to wait for.
    importlib.import_module("training.loop")


def _end_with_parent(parent: int) -> None:
    """A killed service cannot tell its workers; they look themselves."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
