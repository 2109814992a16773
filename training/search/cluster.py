"""Where trials run: a Ray of the search's own, which ends with it, or a cluster that is there already.

Ray reads on import how it proves who it is; RAY_ADDRESS says on which side of that this process is.
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.processes import owned_folders
from common.processes.child import WorthAnotherAttempt
from common.processes.ray_access import ADDRESS, why_not_connected
from common.settings.group import PROJECT_ROOT
from training.search.config import RAY_HOME, SearchConfig

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_USAGE_STATS_PROMPT_ENABLED", "0")
if os.environ.get(ADDRESS):
    # Each takes up to 41 s where nobody answers, and there are 20 by default.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
else:
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # otherwise Ray writes one to ~/.ray

import ray

LONGEST_RAY_FOLDER = 40
"""Characters. Ray appends about 65 for its sockets, whose paths end at 107."""

REACHED_SECONDS = 5.0
"""For a TCP connection to a cluster's head, all attempts together."""


class ClusterUnavailable(WorthAnotherAttempt):
    """The cluster of RAY_ADDRESS cannot be used now."""


@contextmanager
def connected(address: str, folder: Path, search: SearchConfig) -> Iterator[None]:
    """Ray, for as long as the context lasts; nothing of the search is left in it.

    Args:
        address: Of a cluster that is there; empty starts one.
        folder: Of the search; its name is that of the search's namespace in the cluster.
    Raises:
        ClusterUnavailable: It does not answer, or refuses this process.
    """
    if address:
        _reach(address)
        with _initialised(_options_there(address, folder), address):
            yield
        return
    inside = folder.resolve() / "ray"
    short = len(str(inside)) <= LONGEST_RAY_FOLDER
    home = inside if short else owned_folders.make(RAY_HOME)
    try:
        with _initialised(_options_here(home, search), address):
            yield
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _options_here(home: Path, search: SearchConfig) -> dict[str, Any]:
    """Without dashboard, network use, or anything left behind."""
    return {
        "address": "local",
        "num_cpus": search.max_concurrent,
        "num_gpus": 0,
        "include_dashboard": False,
        "object_store_memory": search.object_store_bytes,
        "_temp_dir": str(home),
    }


def _options_there(address: str, folder: Path) -> dict[str, Any]:
    """With this service's code for nodes that may have another version's."""
    return {
        "address": address,
        "namespace": f"enel-training-{folder.resolve().name}",
        "runtime_env": {"py_modules": [str(PROJECT_ROOT / "training"), str(PROJECT_ROOT / "common")]},
    }


@contextmanager
def _initialised(options: dict[str, Any], address: str) -> Iterator[None]:
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(log_to_driver=False, logging_level=logging.WARNING, **options)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray's own handler aborts the process
        except SystemExit:  # which that one makes of a SIGTERM that comes while Ray starts
            if callable(on_terminate):
                on_terminate(signal.SIGTERM, None)
            raise
        except Exception as error:
            if not address:
                raise
            raise ClusterUnavailable(_told(address, why_not_connected(error))) from error
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Ray itself takes more than a minute to find out that nobody is there. Raises ClusterUnavailable."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return  # `auto`, and what only Ray can read
    until = time.monotonic() + REACHED_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_SECONDS / 2).close()
            return
        except (OSError, OverflowError) as error:
            if time.monotonic() >= until:
                raise ClusterUnavailable(_told(address, f"{type(error).__name__}: {error}")) from error
        time.sleep(0.5)


def _told(address: str, why: str) -> str:
    return f"the Ray cluster of RAY_ADDRESS ({address}) cannot be used: {why}"
