"""What is the same for every manifest of a service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from submission.manifest.fields import Fields
from submission.manifest.limits import ManifestLimits
from submission.manifest.platform import Platform

_EXAMPLES = {
    "KMeans": "kmeans.py",
    "LogisticRegression": "logistic_regression.py",
    "MPC": "mpc.py",
    "GradientBoostedTrees": "gradient_boosted_trees.py",
    "Sales": "sales.py",
}


def bundled_examples(location: Path | str) -> dict[str, str]:
    """Algorithm name to main application file, of the example programs below a folder or URI."""
    return {name: f"{str(location).rstrip('/')}/{file}" for name, file in _EXAMPLES.items()}


@dataclass(frozen=True)
class SecretKey:
    """A value in a Kubernetes Secret of the application's namespace."""

    name: str
    key: str


@dataclass(frozen=True)
class ManifestOptions:
    """What is the same for every application that this service submits."""

    callback_host: str
    callback_port: int
    listener_jar: str
    """Path or URL, as the driver sees it."""
    callback_timeout_seconds: float = 30.0
    callback_method: str = "http"
    callback_token_secret: SecretKey | None = None
    """Where drivers find the token for their callbacks on a platform that refers to it; None: they need
    none."""
    token_per_execution: bool = False
    """Whether each execution has a token of its own, where `callback_token_secret` says nothing."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Algorithm name to main application file, for requests that name none."""
    launcher: str = ""
    """What runs programs of workspaces, as the driver sees it."""
    spark_version: str = field(default_factory=lambda: version("pyspark"))
    """Of a request that names none."""
    namespace: str = "default"
    """Of a request that names none."""
    namespaces: tuple[str, ...] = ()
    """Further namespaces that a request may name."""
    template: Fields = field(default_factory=dict)
    """From `load_template`."""
    limits: ManifestLimits = field(default_factory=ManifestLimits)
    platform: Platform = field(kw_only=True)
    """Of the runner that carries the manifests out."""
