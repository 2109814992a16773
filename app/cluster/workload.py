"""What of a release is in the cluster, and what it still waits for; pure: from JSON of the API server."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

_LONGEST = 200

_UNTIL_READY = {
    "": "started, not ready yet: /readyz needs MongoDB",
    "mongodb": "started, not ready yet: becomes a replica set, and makes the service's user",
}
"""By component; that of the service itself has no name."""


@dataclass(frozen=True)
class Pod:
    name: str
    phase: str
    ready: str
    """Containers, such as 1/1."""
    restarts: int
    waits_for: str
    """Empty where it is ready."""


@dataclass(frozen=True)
class Volume:
    name: str
    phase: str
    size: str


@dataclass(frozen=True)
class Workload:
    """Pods and volumes of a release, and warnings about them, the latest last."""

    replicas: int
    ready_replicas: int
    pods: Sequence[Pod] = ()
    volumes: Sequence[Volume] = ()
    warnings: Sequence[str] = field(default=())

    @property
    def is_ready(self) -> bool:
        return 0 < self.replicas <= self.ready_replicas

    def waits_for(self) -> list[str]:
        """What keeps it from being ready, in the order in which it has to be mended."""
        pending = [f"volume {each.name} is {each.phase}" for each in self.volumes if each.phase != "Bound"]
        pods = [f"pod {each.name}: {each.waits_for}" for each in self.pods if each.waits_for]
        if not self.replicas:
            return ["what was installed, which the cluster does not know yet"]
        if self.is_ready or pending or pods:
            return [*pending, *pods]
        return [
            "the next pod, which is not created yet"
            if self.pods
            else "the first pod, which is not created yet"
        ]


def workload_of(
    sets: Iterable[Json], pods: Iterable[Json], claims: Iterable[Json], events: Iterable[Json]
) -> Workload:
    """From the items of four lists; events are those of the namespace."""
    sets, pods, claims = list(sets), list(pods), list(claims)
    names = {each["metadata"]["name"] for each in (*sets, *pods, *claims)}
    about = [each for each in events if each.get("type") == "Warning" and _object(each) in names]
    return Workload(
        replicas=sum(each.get("spec", {}).get("replicas", 1) for each in sets),
        ready_replicas=sum(each.get("status", {}).get("readyReplicas", 0) for each in sets),
        pods=[_pod(each) for each in pods],
        volumes=[_volume(each) for each in claims],
        warnings=[f"{_object(each)}: {_line(each.get('message'))}" for each in sorted(about, key=_last_seen)],
    )


def _pod(pod: Json) -> Pod:
    status = pod.get("status", {})
    containers = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in containers)
    total = len(pod.get("spec", {}).get("containers") or containers)
    of_a_job = status.get("phase") == "Succeeded"  # such as a chart's hook
    is_ready = of_a_job or 0 < total == ready
    return Pod(
        name=pod["metadata"]["name"],
        phase=status.get("phase", "Unknown"),
        ready=f"{ready}/{total}",
        restarts=sum(each.get("restartCount", 0) for each in containers),
        waits_for="" if is_ready else _reason(status, containers, _component(pod)),
    )


def _component(pod: Json) -> str:
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get("app.kubernetes.io/component", ""))


def _reason(status: Json, containers: Sequence[Json], component: str) -> str:
    for container in status.get("initContainerStatuses") or ():
        if "running" in container.get("state", {}):
            return f"{container['name']} comes before it, and is running"
    for container in containers:
        state = container.get("state", {})
        ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
        waiting = state.get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing", None):
            code = f", ended with {ended['exitCode']}" if ended else ""
            return _line(f"{waiting['reason']}{code} {waiting.get('message') or ''}")
        if waiting:
            return "its container is being created (image, volumes)"
        if "running" in state:
            return _UNTIL_READY.get(component, "started, not ready yet")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _line(f"no node takes it: {condition.get('message') or condition.get('reason')}")
    return "it was just created"


def _volume(claim: Json) -> Volume:
    requested = claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "")
    status = claim.get("status", {})
    size = status.get("capacity", {}).get("storage", requested)
    return Volume(claim["metadata"]["name"], status.get("phase", "Pending"), size)


def _object(event: Json) -> str:
    return str(event.get("involvedObject", {}).get("name", ""))


def _last_seen(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _line(text: object) -> str:
    line = " ".join(str(text or "").split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
