"""What an installation finds: in the cluster of the present context, and on this machine."""

from collections.abc import Iterable
from typing import Any

from app.cluster.helm import APACHE_OPERATOR, OPERATOR
from app.cluster.installation.images import (
    Image,
    known_to_docker,
    known_to_minikube,
    service_image,
    spark_image,
)
from app.cluster.installation.local_cluster import LocalCluster, local_cluster
from app.cluster.installation.situation import Operator, Present, Wishes
from app.cluster.present import PresentCluster, present_context
from app.cluster.programs import is_there
from app.cluster.reading import listed
from common.errors import NotFound
from common.settings.group import IS_CHECKOUT
from submission.kubernetes.client import Kubernetes
from submission.kubernetes.errors import (
    Access,
    KubernetesForbidden,
    KubernetesRefused,
    ResourceKindMissing,
)

_DEPLOYMENTS = "/apis/apps/v1/deployments"
_APPLICATIONS = "/apis/sparkoperator.k8s.io/v1beta2"
_APACHE_APPLICATIONS = "/apis/spark.apache.org/v1"
_EVERYWHERE = "(all)"
_NAMESPACES = "--namespaces="


def look(cluster: PresentCluster, wishes: Wishes) -> Present:
    """Look everywhere, and change nothing.

    Raises:
        ClusterUnreachable: The API server does not say.
        CannotBeDone: docker, kind or minikube do not.
    """

    async def asked(kubernetes: Kubernetes, _: str, namespace: str) -> dict[str, Any]:
        names = {namespace, *wishes.application_namespaces}
        present = frozenset([name for name in names if await _has_namespace(kubernetes, name)])
        return {
            "namespaces": present,
            "secrets": await _secrets(kubernetes, namespace, wishes.own_secrets),
            "has_mongodb": await _find(kubernetes, "services", "mongodb", namespace) is not None,
            "operator": await _operator(kubernetes, wishes),
        }

    local = local_cluster(present_context())
    images = _images(local) if local and wishes.images else {}
    return Present(**cluster.ask(asked), local=local, is_checkout=IS_CHECKOUT, **images)


def _images(local: LocalCluster) -> dict[str, Any]:
    images: tuple[Image, ...] = (service_image(), spark_image())
    if is_there("docker"):
        return {"docker_images": known_to_docker(images)}
    if local.program == "minikube":
        return {"cluster_images": known_to_minikube(images, local)}
    return {}


async def _has_namespace(kubernetes: Kubernetes, name: str) -> bool:
    try:
        await kubernetes.request("GET", f"/api/v1/namespaces/{name}", Access("get", "namespaces", name))
    except (NotFound, KubernetesRefused):  # the latter is what a missing namespace is to applications
        return False
    except KubernetesForbidden:  # whoever may not look was given it by somebody
        return True
    return True


async def _find(kubernetes: Kubernetes, resource: str, name: str, namespace: str) -> dict[str, Any] | None:
    path = f"/api/v1/namespaces/{namespace}/{resource}/{name}"
    try:
        answer = await kubernetes.request("GET", path, Access("get", resource, namespace))
    except (NotFound, KubernetesRefused):
        return None
    return answer.json()


async def _secrets(kubernetes: Kubernetes, namespace: str, names: Iterable[str]) -> dict[str, frozenset[str]]:
    found = {name: await _find(kubernetes, "secrets", name, namespace) for name in names}
    return {name: frozenset(each.get("data") or ()) for name, each in found.items() if each is not None}


async def _operator(kubernetes: Kubernetes, wishes: Wishes) -> Operator | None:
    """Helm leaves kinds of resources behind, so that these alone do not say that somebody looks at them."""
    kinds, called = (
        (_APACHE_APPLICATIONS, APACHE_OPERATOR) if wishes.is_for_apache else (_APPLICATIONS, OPERATOR)
    )
    try:
        await kubernetes.request("GET", kinds, Access("get", "sparkapplications", _EVERYWHERE))
    except ResourceKindMissing:
        return None
    try:
        found = await listed(kubernetes, _DEPLOYMENTS, Access("list", "deployments.apps", _EVERYWHERE))
    except KubernetesForbidden:
        return Operator(is_ours=False)
    operators = [each for each in found if called in _names(each)]
    if not operators:
        return None
    is_ours = not wishes.is_for_apache and any(
        each["metadata"].get("namespace") == OPERATOR for each in operators
    )
    return Operator(is_ours, frozenset().union(*map(_watched, operators)))


def _names(deployment: dict[str, Any]) -> str:
    metadata = deployment["metadata"]
    return f"{metadata['name']} {(metadata.get('labels') or {}).get('app.kubernetes.io/name', '')}"


def _watched(deployment: dict[str, Any]) -> frozenset[str]:
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or ()
    arguments = [argument for each in containers for argument in each.get("args") or ()]
    named = [each.removeprefix(_NAMESPACES) for each in arguments if each.startswith(_NAMESPACES)]
    return frozenset(name for each in named for name in each.strip('"').split(",") if name)
