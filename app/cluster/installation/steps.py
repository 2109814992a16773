"""The steps of an installation, each of which says what it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.cluster.helm import OPERATOR_VERSION
from app.cluster.installation.images import Image
from app.cluster.installation.local_cluster import LocalCluster


@dataclass(frozen=True)
class MakeNamespace:
    name: str
    program = ""

    def __str__(self) -> str:
        return f"create the namespace {self.name}"


@dataclass(frozen=True)
class MakeSecret:
    namespace: str
    name: str
    keys: tuple[str, ...]
    program = ""

    def __str__(self) -> str:
        return f"create the Secret {self.name} in {self.namespace} with its own {', '.join(self.keys)}"


@dataclass(frozen=True)
class InstallOperator:
    namespaces: tuple[str, ...]
    program = "helm"

    def __str__(self) -> str:
        return f"install spark-operator {OPERATOR_VERSION} for applications in {', '.join(self.namespaces)}"


@dataclass(frozen=True)
class ExtendOperator:
    namespaces: tuple[str, ...]
    program = "helm"

    def __str__(self) -> str:
        return f"let the spark-operator look at applications in {', '.join(self.namespaces)}"


@dataclass(frozen=True)
class BuildImage:
    image: Image
    cluster: LocalCluster
    program: str

    def __str__(self) -> str:
        return f"build {self.image.tag} from {self.image.dockerfile} with {self.program}, which takes a while"


@dataclass(frozen=True)
class LoadImage:
    image: Image
    cluster: LocalCluster

    @property
    def program(self) -> str:
        return self.cluster.program

    def __str__(self) -> str:
        return f"load {self.image.tag} into {self.cluster}"


@dataclass(frozen=True)
class InstallChart:
    release: str
    namespace: str
    defaults: Mapping[str, Any]
    program = "helm"

    def __str__(self) -> str:
        mongodb = " with a MongoDB of one member" if "mongodb" in self.defaults else ""
        return f"helm upgrade --install {self.release} in {self.namespace}{mongodb}"


Step = MakeNamespace | MakeSecret | InstallOperator | ExtendOperator | BuildImage | LoadImage | InstallChart
