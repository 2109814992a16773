"""What commands about a cluster share: the release, waiting for it, showing it, reaching it."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.views.cluster import workload_view
from app.cluster.kubectl import forwarded
from app.cluster.present import PresentCluster
from app.cluster.workload import Workload

PAUSE_SECONDS = 2.0

Release = Annotated[str, typer.Option(help="Name of the Helm release.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where it is installed.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="On this machine; 0 takes a free one.")]


def wait_until_ready(
    cluster: PresentCluster,
    release: str,
    namespace: str,
    timeout_seconds: float,
    with_operator: bool,
    *,
    as_json: bool,
) -> None:
    """Wait, say for what, and show what is there in the end. Raises CliError where there is no more time."""
    workload, is_ready = _waited(cluster, release, timeout_seconds, with_operator)
    show_workload(workload, as_json=as_json)
    if not is_ready:
        raise CliError(
            f"{release} is not ready after {timeout_seconds:g} s.",
            f"`enel cluster watch -n {namespace}` shows when it is; the lines above say what it waits for.",
            ExitCode.UNSOUND,
        )


def _waited(
    cluster: PresentCluster, release: str, timeout_seconds: float, with_operator: bool
) -> tuple[Workload, bool]:
    deadline = time.monotonic() + timeout_seconds
    said: list[str] = []
    with console.progress().status(f"{release}: waiting") as shown:
        while True:
            workload = cluster.workload()
            waits_for = _things_to_wait_for(workload, cluster.operator() if with_operator else None)
            if not waits_for or time.monotonic() >= deadline:
                return workload, not waits_for
            for line in (each for each in waits_for if each not in said):
                console.say(f"waits for {line}")
            said = waits_for
            shown.update(f"{release}: {len(waits_for)} things to wait for")
            time.sleep(PAUSE_SECONDS)


def _things_to_wait_for(workload: Workload, operator: Workload | None) -> list[str]:
    own = [] if workload.is_ready else workload.waits_for()
    if operator is None or operator.is_ready:
        return own
    return [*own, *(f"the spark-operator: {each}" for each in operator.waits_for())]


def show_workload(workload: Workload, *, as_json: bool) -> None:
    """Print pods, volumes, and what it waits for."""
    if as_json:
        console.print_json(
            {**asdict(workload), "is_ready": workload.is_ready, "waits_for": workload.waits_for()}
        )
    else:
        console.show(workload, workload_view, as_json=False)


def forward(cluster: PresentCluster, release: str, namespace: str, port: int) -> None:
    """Print the address of the page, and keep it until Ctrl-C."""
    service = cluster.service()
    if service is None:
        raise CliError(
            f"There is no service of {release} in the namespace {namespace}.",
            f"`enel cluster up --namespace {namespace} --release {release}` installs it.",
            ExitCode.REFUSED,
        )
    name, target = service
    for address in forwarded(namespace, name, port, target):
        console.print_text(address)
