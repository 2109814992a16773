"""Pod templates for what Spark has no properties for."""

import copy
from typing import Any

Json = dict[str, Any]

_POD = {
    "affinity": "affinity",
    "dnsConfig": "dnsConfig",
    "hostAliases": "hostAliases",
    "hostNetwork": "hostNetwork",
    "initContainers": "initContainers",
    "podSecurityContext": "securityContext",
    "priorityClassName": "priorityClassName",
    "shareProcessNamespace": "shareProcessNamespace",
    "terminationGracePeriodSeconds": "terminationGracePeriodSeconds",
    "tolerations": "tolerations",
}
_CONTAINER = ("envFrom", "lifecycle", "ports", "securityContext", "volumeMounts")


def pod_template(role: str, spec: Json) -> Json | None:
    """The `podTemplateSpec` of `driver` or `executor`; None where it would be empty."""
    pod = spec[role]
    container = {name: pod[name] for name in _CONTAINER if pod.get(name)}
    if referring := [variable for variable in pod.get("env", []) if "valueFrom" in variable]:
        container["env"] = referring
    template = {name: pod[field] for field, name in _POD.items() if field in pod}
    sidecars = pod.get("sidecars", [])
    if volumes := _volumes(pod, spec.get("volumes", [])):
        template["volumes"] = volumes
    if container or sidecars:
        # Spark takes the first container for its own, and keeps its name.
        template["containers"] = [{"name": f"spark-kubernetes-{role}", **container}, *sidecars]
    return {"spec": copy.deepcopy(template)} if template else None


def _volumes(pod: Json, volumes: list[Json]) -> list[Json]:
    """Those that a container of the pod mounts."""
    containers = [pod, *pod.get("initContainers", []), *pod.get("sidecars", [])]
    mounted = {mount["name"] for each in containers for mount in each.get("volumeMounts", [])}
    return [volume for volume in volumes if volume["name"] in mounted]
