"""The Ray cluster below: one of our own on this machine, or another's that is already there."""

import logging
import sys
from pathlib import Path
from typing import Any

import ray
from ray import serve

from common.processes.ray_access import why_not_connected

NAMESPACE = "enel"
_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""On Linux, Ray takes the usual one for the address that others see: a network that changes would end it."""

_ROOT = Path(__file__).resolve().parents[3]


def start(address: str, folder: Path, object_store_bytes: int) -> str:
    """Connect this process, and have Ray Serve run; returns the address for others.

    Args:
        address: Of a cluster that is there; empty starts one that ends with this process.
        folder: Where a cluster of our own keeps its files; UNIX sockets in it have 107 bytes.
    Raises:
        Exception: Whatever Ray raises where it cannot.
    """
    common: dict[str, Any] = {
        "namespace": NAMESPACE,
        "log_to_driver": False,
        "logging_level": logging.WARNING,
    }
    if address:
        ray.init(
            address=address,
            runtime_env={"py_modules": [str(_ROOT / "prediction"), str(_ROOT / "common")]},
            **common,
        )
    else:
        ray.init(
            address="local",
            num_cpus=1,  # replicas ask for none; each more would be an idle process more
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=object_store_bytes,
            _node_ip_address=_LOOPBACK,
            _temp_dir=str(folder),
            _system_config={"worker_niceness": 0},  # 15 by default: replicas would starve beside a busy Spark
            **common,
        )
    serve.start(proxy_location="Disabled")
    return str(ray.get_runtime_context().gcs_address)


def explained(address: str, error: Exception) -> str:
    """Why there is no cluster, in words."""
    return why_not_connected(error) if address else f"{type(error).__name__}: {error}"
