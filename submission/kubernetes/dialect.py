"""What one operator's SparkApplications look like; how they are followed is the same for all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from submission.kubernetes.states import Observation
from submission.manifest.build import Manifest
from submission.manifest.platform import Platform

Json = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """The kind of resource that an operator carries out, and how it is written and read."""

    platform: Platform
    """Its name is that of the runner, as executions have it."""
    operator: str
    """As sentences call it, after `the`."""
    group: str
    version: str
    render: Callable[[Manifest], Json]
    """From a manifest of this service to the resource. Raises InvalidRequest where the operator has nothing
    for what the manifest says."""
    observe: Callable[[Json], Observation]
    """What a version of the resource says."""

    @property
    def resource(self) -> str:
        """As RBAC and `Access` name it."""
        return f"sparkapplications.{self.group}"

    @property
    def api(self) -> str:
        """Path of the group's version."""
        return f"/apis/{self.group}/{self.version}"

    def path(self, namespace: str, name: str | None = None) -> str:
        """Of a resource, or of all in a namespace."""
        collection = f"{self.api}/namespaces/{quote(namespace, safe='')}/sparkapplications"
        return collection if name is None else f"{collection}/{quote(name, safe='')}"
