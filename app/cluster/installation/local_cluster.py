"""Clusters on the machine of whoever asks, by the name of their context: they can be given images."""

from dataclasses import dataclass
from typing import Literal

_KIND = "kind-"
_MINIKUBE = "minikube"


@dataclass(frozen=True)
class LocalCluster:
    program: Literal["kind", "minikube"]
    """Which keeps it, and loads images into it."""
    name: str
    """Of the cluster (kind) or profile (minikube)."""

    def loading(self, image: str) -> tuple[str, ...]:
        """Arguments of its program that take an image from docker."""
        if self.program == "kind":
            return "load", "docker-image", image, "--name", self.name
        return "image", "load", image, "--profile", self.name

    def __str__(self) -> str:
        return f"the {self.program} cluster {self.name}"


def local_cluster(context: str) -> LocalCluster | None:
    """The cluster behind a context that kind or minikube has named; None where another one has."""
    if context.startswith(_KIND):
        return LocalCluster("kind", context.removeprefix(_KIND))
    if context == _MINIKUBE or context.startswith(f"{_MINIKUBE}-"):
        return LocalCluster("minikube", context)
    return None
