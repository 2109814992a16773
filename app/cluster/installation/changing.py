"""What an installation makes by the API itself, and takes away again."""

from app.cluster.installation.credentials import admin_secret, mongodb_secret, new_content
from app.cluster.installation.steps import MakeNamespace, MakeSecret
from app.cluster.present import PresentCluster
from app.cluster.reading import INSTANCE
from submission.kubernetes.client import Json, Kubernetes
from submission.kubernetes.errors import Access, KubernetesConflict, KubernetesNotFound

_MANAGED_BY, _US = "app.kubernetes.io/managed-by", "enel-cluster"


def make_namespace(cluster: PresentCluster, step: MakeNamespace) -> None:
    """Create it, unless somebody just did. Raises ClusterUnreachable."""
    access = Access("create", "namespaces", step.name)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": step.name}}
    _make(cluster, "/api/v1/namespaces", access, body)


def make_secret(cluster: PresentCluster, release: str, step: MakeSecret) -> None:
    """Create it, unless somebody just did: then what is there counts. Raises ClusterUnreachable."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": step.name,
            "namespace": step.namespace,
            "labels": {_MANAGED_BY: _US, INSTANCE: release},
        },
        "stringData": new_content(step.keys),
    }
    access = Access("create", "secrets", step.namespace)
    _make(cluster, f"/api/v1/namespaces/{step.namespace}/secrets", access, body)


def delete_secrets(cluster: PresentCluster, release: str, *, with_mongodb: bool) -> list[str]:
    """Delete those that this command has made; returns their names. Raises ClusterUnreachable.

    Args:
        with_mongodb: Whether the volume goes, too: whoever keeps it needs its passwords.
    """
    names = [admin_secret(release), *([mongodb_secret(release)] if with_mongodb else [])]

    async def deleted(kubernetes: Kubernetes, _: str, namespace: str) -> list[str]:
        return [name for name in names if await _delete_ours(kubernetes, namespace, name)]

    return cluster.ask(deleted)


async def _delete_ours(kubernetes: Kubernetes, namespace: str, name: str) -> bool:
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    try:
        found = (await kubernetes.request("GET", path, Access("get", "secrets", namespace))).json()
        if (found["metadata"].get("labels") or {}).get(_MANAGED_BY) != _US:
            return False
        await kubernetes.request("DELETE", path, Access("delete", "secrets", namespace))
    except KubernetesNotFound:
        return False
    return True


def _make(cluster: PresentCluster, path: str, access: Access, body: Json) -> None:
    async def made(kubernetes: Kubernetes, _: str, __: str) -> None:
        try:
            await kubernetes.request("POST", path, access, body=body)
        except KubernetesConflict:
            return

    cluster.ask(made)
