"""The cluster of the present context, for callers without an event loop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml

from app.cluster.failure import CannotBeDone
from app.cluster.workload import Workload
from common.errors import ServiceError, StartError

T = TypeVar("T")


class ClusterUnreachable(Exception):
    """There is no context, or its API server does not answer what was asked."""


def kubeconfig() -> str:
    """The file that kubectl and Helm would use; it need not be there."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def present_context() -> str:
    """Name of the context that kubectl and Helm would use; empty where there is none."""
    for part in kubeconfig().split(os.pathsep):
        with suppress(OSError, yaml.YAMLError, AttributeError):
            config = yaml.safe_load(Path(part).expanduser().read_text(encoding="utf-8"))
            if name := config.get("current-context"):
                return str(name)
    return ""


class PresentCluster:
    """One release in a namespace of it.

    Raises:
        ClusterUnreachable: From every method.
        CannotBeDone: From every method; it refuses.
    """

    def __init__(self, release: str, namespace: str) -> None:
        self._release, self._namespace = release, namespace

    def workload(self) -> Workload:
        """Its pods and volumes, and what it waits for."""
        from app.cluster import reading  # Kubernetes' client takes a second that other commands do without

        return self.ask(reading.read_workload)

    def operator(self) -> Workload:
        """The spark-operator that was installed with it."""
        from app.cluster import reading

        return self.ask(reading.read_operator)

    def service(self) -> tuple[str, int] | None:
        """Name and port of its Service; None where it has none."""
        from app.cluster import reading

        return self.ask(reading.find_service)

    def delete_volumes(self) -> list[str]:
        """Delete what it stored; returns the names of the volumes."""
        from app.cluster import reading

        return self.ask(reading.delete_volumes)

    def ask(self, question: Callable[[Any, str, str], Awaitable[T]]) -> T:
        """The answer to a question about the release and its namespace."""
        from app.cluster.reading import ask
        from submission.kubernetes.errors import KubernetesRefused

        try:
            return asyncio.run(ask(kubeconfig(), question, self._release, self._namespace))
        except KubernetesRefused as error:
            raise CannotBeDone(str(error), "The cluster answers, and admits no such thing.") from error
        except (StartError, ServiceError) as error:
            raise ClusterUnreachable(str(error)) from error
