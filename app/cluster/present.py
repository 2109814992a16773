"""The cluster of the present context, for callers without an event loop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from app.cluster.workload import Workload
from common.errors import ServiceError, StartError

T = TypeVar("T")


class ClusterUnreachable(Exception):
    """There is no context, or its API server does not answer what was asked."""


def kubeconfig() -> str:
    """The file that kubectl and Helm would use; it need not be there."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


class PresentCluster:
    """One release in a namespace of it.

    Raises:
        ClusterUnreachable: From every method.
    """

    def __init__(self, release: str, namespace: str) -> None:
        self._release, self._namespace = release, namespace

    def workload(self) -> Workload:
        """Its pods and volumes, and what it waits for."""
        from app.cluster import reading  # Kubernetes' client takes a second that other commands do without

        return self._asked(reading.read_workload)

    def service(self) -> tuple[str, int] | None:
        """Name and port of its Service; None where it has none."""
        from app.cluster import reading

        return self._asked(reading.find_service)

    def delete_volumes(self) -> list[str]:
        """Delete what it stored; returns the names of the volumes."""
        from app.cluster import reading

        return self._asked(reading.delete_volumes)

    def _asked(self, question: Callable[[Any, str, str], Awaitable[T]]) -> T:
        from app.cluster.reading import ask

        try:
            return asyncio.run(ask(kubeconfig(), question, self._release, self._namespace))
        except (StartError, ServiceError) as error:
            raise ClusterUnreachable(str(error)) from error
