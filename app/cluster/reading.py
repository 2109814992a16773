"""Reading a release's workload from the API server of the present context, and deleting its volumes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from app.cluster.workload import Workload, workload_of
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.client import Kubernetes, kubernetes_client
from submission.kubernetes.errors import Access

T = TypeVar("T")

_INSTANCE = "app.kubernetes.io/instance"


async def ask(
    kubeconfig: str, question: Callable[[Kubernetes, str, str], Awaitable[T]], release: str, namespace: str
) -> T:
    """The answer about a release of the file's present context.

    Raises:
        StartError: The file is of no use.
        ServiceError: The API server does not say.
    """
    async with kubernetes_client(KubernetesSettings(kubeconfig=kubeconfig)) as kubernetes:
        return await question(kubernetes, release, namespace)


async def read_workload(kubernetes: Kubernetes, release: str, namespace: str) -> Workload:
    """What of a release is there now. Raises ServiceError where the API server does not say."""
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
    selector = {"labelSelector": f"{_INSTANCE}={release}"}
    sets, pods, claims, events = await asyncio.gather(
        _items(kubernetes, f"{apps}/statefulsets", Access("list", "statefulsets.apps", namespace), selector),
        _items(kubernetes, f"{core}/pods", Access("list", "pods", namespace), selector),
        _items(
            kubernetes,
            f"{core}/persistentvolumeclaims",
            Access("list", "persistentvolumeclaims", namespace),
            selector,
        ),
        _items(kubernetes, f"{core}/events", Access("list", "events", namespace), {}),
    )
    return workload_of(sets, pods, claims, events)


async def delete_volumes(kubernetes: Kubernetes, release: str, namespace: str) -> list[str]:
    """Delete the release's volume claims, and with them what was stored; returns their names."""
    workload = await read_workload(kubernetes, release, namespace)
    for volume in workload.volumes:
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{volume.name}"
        await kubernetes.request("DELETE", path, Access("delete", "persistentvolumeclaims", namespace))
    return [volume.name for volume in workload.volumes]


async def find_service(kubernetes: Kubernetes, release: str, namespace: str) -> tuple[str, int] | None:
    """Name and port of the release's Service; None where it has none."""
    path = f"/api/v1/namespaces/{namespace}/services"
    selector = {"labelSelector": f"{_INSTANCE}={release}"}
    found = await _items(kubernetes, path, Access("list", "services", namespace), selector)
    for service in found:
        if service["spec"].get("clusterIP") != "None":
            return service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    return None


async def _items(
    kubernetes: Kubernetes, path: str, access: Access, query: dict[str, str]
) -> list[dict[str, Any]]:
    answer = await kubernetes.request("GET", path, access, query={**query, "limit": "500"})
    return list(answer.json().get("items") or ())
