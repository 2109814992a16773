"""What an API server says about a cluster that is installed into; far less than one does."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Tools = Callable[[str, str], Path]

NAME = "enel-enel-service"
CORE, APPS = "/api/v1/namespaces/enel", "/apis/apps/v1/namespaces/enel"
OPERATOR = "spark-operator"
DATA = f"{CORE}/persistentvolumeclaims/data-0"

_SECRET = re.compile(r"/api/v1/namespaces/enel/secrets/([\w-]+)")
_KINDS = "/apis/sparkoperator.k8s.io/v1beta2"
_APACHE_KINDS = "/apis/spark.apache.org/v1"


@dataclass
class ClusterDouble:
    """Lists by path; ready after so many looks at the StatefulSet."""

    ready_after: float = 0
    asked: list[str] = field(default_factory=list)
    looks: int = 0
    namespaces: set[str] = field(default_factory=lambda: {"enel"})
    secrets: dict[str, Json] = field(default_factory=dict)
    has_kinds: bool = True
    """Of the operator's resources."""
    has_apache_kinds: bool = False
    """Of Apache's."""
    operators: list[Json] = field(default_factory=lambda: [operator("elsewhere")])
    """Deployments."""
    forbidden: set[str] = field(default_factory=set)
    """Paths."""
    services: set[str] = field(default_factory=set)
    write_kubeconfig: Callable[[str], object] = print
    """With this context as the present one."""

    def become_empty(self) -> None:
        """As a cluster that was just made."""
        self.namespaces, self.has_kinds, self.operators = {"default"}, False, []

    def answer(self, method: str, path: str, sent: Json) -> tuple[int, Json]:
        self.asked.append(f"{method} {path}")
        if path in self.forbidden:
            return forbidden()
        if method == "POST":
            return self._created(path, sent)
        if secret := _SECRET.fullmatch(path):
            return self._secret(method, secret[1])
        if path == _KINDS:
            return (200, {}) if self.has_kinds else (404, {})
        if path == _APACHE_KINDS:
            return (200, {}) if self.has_apache_kinds else (404, {})
        parts = path.split("/")
        if len(parts) == 5 and parts[3] == "namespaces":
            return (200, {}) if parts[4] in self.namespaces else not_found("namespaces", parts[4])
        if path == f"{CORE}/services/mongodb":
            return (200, {}) if "mongodb" in self.services else not_found("services", "mongodb")
        return self._listed(path)

    def _created(self, path: str, sent: Json) -> tuple[int, Json]:
        name = sent["metadata"]["name"]
        if path == "/api/v1/namespaces":
            self.namespaces.add(name)
        else:
            assert path.split("/")[4] in self.namespaces
            self.secrets[name] = {**sent, "data": sent.get("stringData")}
        return 201, sent

    def _secret(self, method: str, name: str) -> tuple[int, Json]:
        if name not in self.secrets:
            return not_found("secrets", name)
        return 200, self.secrets.pop(name) if method == "DELETE" else self.secrets[name]

    def _listed(self, path: str) -> tuple[int, Json]:
        if path == f"{APPS}/statefulsets":
            self.looks += 1
        ready = self.looks > self.ready_after
        container = {"ready": ready, "state": {"running": {}}}
        items = {
            f"{APPS}/statefulsets": {"spec": {"replicas": 1}, "status": {"readyReplicas": int(ready)}},
            f"{CORE}/pods": {
                "spec": {"containers": [{}]},
                "status": {"phase": "Running", "containerStatuses": [container]},
            },
            f"{CORE}/persistentvolumeclaims": {"spec": {}, "status": {"phase": "Bound"}},
            f"{CORE}/services": {"spec": {"ports": [{"port": 5000}]}},
            f"{CORE}/events": {"type": "Warning", "involvedObject": {"name": NAME}, "message": "careful"},
        }
        if path == DATA:
            return 200, {}
        if path.endswith("/deployments"):
            return 200, {"items": self.operators}
        if f"/namespaces/{OPERATOR}/" in path:
            return 200, {"items": []}
        found = items.get(path)
        name = "data-0" if path.endswith("/persistentvolumeclaims") else NAME
        return (404, {}) if found is None else (200, {"items": [{"metadata": {"name": name}, **found}]})


def operator(namespace: str, watched: str = "", *, is_ready: bool = True, called: str = OPERATOR) -> Json:
    """The Deployment of a spark-operator."""
    container = {"args": ["controller", "start", f"--namespaces={watched}"]}
    return {
        "metadata": {"name": f"{called}-controller", "namespace": namespace},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": int(is_ready)},
    }


def not_found(kind: str, name: str) -> tuple[int, Json]:
    """As an API server says it."""
    return 404, {"kind": "Status", "code": 404, "details": {"kind": kind, "name": name}}


def forbidden() -> tuple[int, Json]:
    """As an API server says that no rule allows it."""
    message = 'User "ada" cannot list resource "deployments" at the cluster scope'
    return 403, {"kind": "Status", "code": 403, "message": message}
