"""Reading a release's workload from the API server of the present context, and deleting its volumes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from app.cluster.helm import OPERATOR
from app.cluster.workload import Workload, workload_of
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.client import Kubernetes, kubernetes_client
from submission.kubernetes.errors import Access

T = TypeVar("T")

INSTANCE = "app.kubernetes.io/instance"
"""The label by which Helm's charts say which release something is of."""


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
    return await _read(kubernetes, release, namespace, "statefulsets")


async def read_operator(kubernetes: Kubernetes, _: str = "", __: str = "") -> Workload:
    """What of the spark-operator that was installed with the service is there now. Raises ServiceError."""
    return await _read(kubernetes, OPERATOR, OPERATOR, "deployments")


async def _read(kubernetes: Kubernetes, release: str, namespace: str, sets: str) -> Workload:
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"

    async def of_release(path: str, resource: str) -> list[dict[str, Any]]:
        access = Access("list", resource, namespace)
        return await listed(kubernetes, path, access, {"labelSelector": f"{INSTANCE}={release}"})

    return workload_of(
        *await asyncio.gather(
            of_release(f"{apps}/{sets}", f"{sets}.apps"),
            of_release(f"{core}/pods", "pods"),
            of_release(f"{core}/persistentvolumeclaims", "persistentvolumeclaims"),
            listed(kubernetes, f"{core}/events", Access("list", "events", namespace)),
        )
    )


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
    selector = {"labelSelector": f"{INSTANCE}={release}"}
    found = await listed(kubernetes, path, Access("list", "services", namespace), selector)
    for service in found:
        if service["spec"].get("clusterIP") != "None":
            return service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    return None


async def listed(
    kubernetes: Kubernetes, path: str, access: Access, query: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Items of a list, of which hardly any cluster has more than are asked for. Raises ServiceError."""
    answer = await kubernetes.request("GET", path, access, query={**(query or {}), "limit": "500"})
    return list(answer.json().get("items") or ())
