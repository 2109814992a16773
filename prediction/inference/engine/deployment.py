"""What is to run in the engine, what it says of itself once it is loaded, and how it fares."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Deployment:
    """A version that is to answer, under a name that no other version ever has.

    Attributes:
        name: Of one version: another version under the same name would take this one out before it runs.
        kind: "python" or "onnx".
        folder: The version's files.
        file: Of the model, from the folder on.
        plan: Of an ONNX model: how fields become tensors.
        environment: A packed environment that works as an interpreter; None: the service's own Python.
        memory_limit_bytes: Of each replica's model process and all that it starts.
        threads: How many each replica computes with.
        load_seconds: How long loading the model may take, once a process runs.
    """

    name: str
    kind: str
    folder: Path
    file: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    environment: Path | None = None
    replicas: int = 1
    memory_limit_bytes: int = 2 << 30
    threads: int = 1
    load_seconds: float = 120.0

    def described(self) -> dict[str, Any]:
        """As JSON."""
        paths = {"folder": str(self.folder), "environment": self.environment and str(self.environment)}
        return asdict(self) | paths

    @classmethod
    def from_described(cls, described: Mapping[str, Any]) -> Self:
        environment = described["environment"]
        paths = {"folder": Path(described["folder"]), "environment": environment and Path(environment)}
        return cls(**{**described, **paths})


@dataclass(frozen=True)
class Loaded:
    """What the processes of a deployment found.

    Attributes:
        found: `kind`; of a Python file `functions` and `python`; of ONNX `inputs` and `outputs`, each with
            `name`, `datatype` and `shape` (None: of any size).
    """

    name: str
    replicas: int
    found: Mapping[str, Any]


@dataclass(frozen=True)
class DeploymentStatus:
    """How a deployment fares.

    Attributes:
        status: As Ray Serve says: "RUNNING", "DEPLOYING", "UNHEALTHY", "DEPLOY_FAILED", "DELETING"; it lags
            behind what happens by up to a health check.
        replicas: How many are wanted.
        up: How many really run at this moment.
        message: What is wrong, where something is.
    """

    name: str
    status: str
    replicas: int
    up: int
    message: str = ""

    @property
    def is_healthy(self) -> bool:
        return self.status == "RUNNING" and self.up >= self.replicas
