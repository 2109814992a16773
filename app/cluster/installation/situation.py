"""What an installation finds, and what was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.cluster.installation.chart_values import Json, value_at
from app.cluster.installation.credentials import ADMIN_KEYS, admin_secret, mongodb_secret
from app.cluster.installation.local_cluster import LocalCluster

APACHE = "apache"
"""What SPARK_OPERATOR calls Apache's operator, whose resources are of another kind than Kubeflow's."""


@dataclass(frozen=True)
class Operator:
    """An operator in the cluster that carries out the service's applications."""

    is_ours: bool
    """Whether this command has installed it."""
    namespaces: frozenset[str] = frozenset()
    """Whose applications it looks at; empty: all, or nobody can tell."""

    def overlooks(self, namespaces: Iterable[str]) -> bool:
        """Whether it is ours to change, and knows nothing of one of these."""
        return self.is_ours and bool(self.namespaces) and not self.namespaces.issuperset(namespaces)


@dataclass(frozen=True)
class Present:
    """What is there."""

    namespaces: frozenset[str] = frozenset()
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """In the release's namespace, with their keys."""
    has_mongodb: bool = False
    """A Service called `mongodb` in the release's namespace, which is where the chart looks by default."""
    operator: Operator | None = None
    local: LocalCluster | None = None
    docker_images: frozenset[str] | None = None
    """None: there is no docker."""
    cluster_images: frozenset[str] = frozenset()
    """Where there is no docker: those that the cluster's nodes have."""
    is_checkout: bool = False


@dataclass(frozen=True)
class Wishes:
    """What was asked for."""

    release: str
    namespace: str
    values: Json = field(default_factory=dict)
    mongodb: bool = True
    operator: bool = True
    images: bool = True

    @property
    def is_for_apache(self) -> bool:
        """Whether applications are for Apache's operator."""
        named = value_at(self.values, "settings", "SPARK_OPERATOR")
        return str(named or "").strip().lower() == APACHE

    @property
    def application_namespaces(self) -> tuple[str, ...]:
        named = value_at(self.values, "applications", "namespaces")
        return tuple(named) if named and isinstance(named, list) else (self.namespace,)

    @property
    def leaves_mongodb(self) -> bool:
        """Whether it is somebody else's."""
        named = value_at(self.values, "settings", "MONGODB_ENDPOINT")
        return not self.mongodb or bool(named) or value_at(self.values, "mongodb", "enabled") is False

    @property
    def mongodb_secret(self) -> str:
        named: str | None = value_at(self.values, "mongodb", "existingSecret")
        return named or mongodb_secret(self.release)

    @property
    def admin(self) -> tuple[str, str] | None:
        """Secret and key of the admin's token; None where nobody needs one."""
        if value_at(self.values, "settings", "ACCESS_CONTROL") == "open":
            return None
        name, key = (value_at(self.values, "secretSettings", "ADMIN_TOKEN", each) for each in ("name", "key"))
        return (name, key) if name and key else (admin_secret(self.release), ADMIN_KEYS[0])

    @property
    def own_secrets(self) -> tuple[str, ...]:
        """Names of the Secrets that may have to be made."""
        return admin_secret(self.release), self.mongodb_secret

    @property
    def has_own_image(self) -> bool:
        return any(value_at(self.values, "image", key) for key in ("repository", "tag", "digest"))
