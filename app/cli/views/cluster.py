"""Pods and volumes of a release, and what it waits for."""

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.console import table
from app.cluster.workload import Workload

_LATEST_WARNINGS = 5


def workload_view(workload: Workload) -> RenderableType:
    parts: list[RenderableType] = [Text(state_of(workload), style="bold")]
    parts += [Text(f"waits for {each}") for each in ([] if workload.is_ready else workload.waits_for())]
    if workload.pods:
        rows = ((each.name, each.phase, each.ready, str(each.restarts)) for each in workload.pods)
        parts += [Text(), table(("Pod", "Phase", "Ready", "Restarts"), rows, right=("Restarts",))]
    if workload.volumes:
        volumes = ((each.name, each.phase, each.size) for each in workload.volumes)
        parts += [Text(), table(("Volume", "Phase", "Size"), volumes, right=("Size",))]
    if workload.warnings and not workload.is_ready:
        parts.append(Text("\nWarnings of the cluster", style="bold"))
        parts += [Text(each) for each in workload.warnings[-_LATEST_WARNINGS:]]
    return Group(*parts)


def state_of(workload: Workload) -> str:
    if not workload.replicas:
        return "not installed"
    state = "ready" if workload.is_ready else "not ready"
    return f"{state}: {workload.ready_replicas} of {workload.replicas} replicas"
