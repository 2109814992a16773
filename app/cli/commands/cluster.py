"""`enel cluster`: the service in the Kubernetes cluster of the present context."""

import shutil
import subprocess
import time
from dataclasses import asdict
from typing import Annotated

import typer

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson
from app.cli.views.cluster import workload_view
from app.cluster import helm
from app.cluster.present import PresentCluster
from app.cluster.workload import Workload

group = typer.Typer(
    help="The service in a Kubernetes cluster: install, look, reach, remove.", no_args_is_help=True
)

_PAUSE_SECONDS = 2.0

Release = Annotated[str, typer.Option(help="Name of the Helm release.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where it is installed.")]


@group.command()
def up(
    release: Release = "enel",
    namespace: Namespace = "enel",
    values: Annotated[
        list[str] | None, typer.Option("--values", "-f", help="File of values; may be given several times.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="A value of the chart.")
    ] = None,
    timeout_seconds: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Install the chart into the present context, or update it, and wait until it is ready."""
    present = PresentCluster(release, namespace)
    present.workload()  # a cluster that does not answer is told before anything is changed
    with console.progress().status(f"helm upgrade --install {release}"):
        helm.install(release, namespace, values or (), assignments or ())
    workload = _waited(present, release, timeout_seconds)
    _show(workload, as_json=as_json)
    if not workload.is_ready:
        raise CliError(
            f"{release} is not ready after {timeout_seconds:g} s.",
            f"`enel cluster watch -n {namespace}` shows when it is; the lines above say what it waits for.",
            ExitCode.UNSOUND,
        )
    console.say(f"Reach it: enel cluster url --namespace {namespace} --release {release}")


@group.command()
def status(release: Release = "enel", namespace: Namespace = "enel", as_json: AsJson = False) -> None:
    """Show pods, volumes, and what it waits for. Exits with 5 if it is not ready."""
    workload = PresentCluster(release, namespace).workload()
    _show(workload, as_json=as_json)
    if not workload.is_ready:
        raise typer.Exit(ExitCode.UNSOUND)


@group.command()
def watch(release: Release = "enel", namespace: Namespace = "enel") -> None:
    """Show it again whenever something changes, until Ctrl-C."""
    shown: Workload | None = None
    while True:
        workload = PresentCluster(release, namespace).workload()
        if workload != shown:
            _show(workload, as_json=False)
            console.print_text("")
            shown = workload
        time.sleep(_PAUSE_SECONDS)


@group.command()
def url(
    release: Release = "enel",
    namespace: Namespace = "enel",
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine; 0 takes a free one.")] = 0,
) -> None:
    """Forward a port of this machine to the service, print its address, and keep it until Ctrl-C."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise CliError("kubectl is not on the PATH.", "Install it: https://kubernetes.io/docs/tasks/tools")
    service = PresentCluster(release, namespace).service()
    if service is None:
        raise CliError(
            f"There is no service of {release} in the namespace {namespace}.",
            f"`enel cluster up --namespace {namespace} --release {release}` installs it.",
            ExitCode.REFUSED,
        )
    name, target = service
    command = [kubectl, "port-forward", "--namespace", namespace, f"service/{name}", f"{port or ''}:{target}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        assert forwarding.stdout is not None
        try:
            for line in forwarding.stdout:
                if line.startswith("Forwarding from 127.0.0.1:"):
                    address = line.split()[2]
                    console.print_text(f"http://{address}")
        except KeyboardInterrupt:
            forwarding.terminate()
            raise
    if forwarding.returncode:
        raise CliError("kubectl ended.", "The line above says why.", ExitCode.UNREACHABLE)


@group.command()
def down(
    release: Release = "enel",
    namespace: Namespace = "enel",
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete its volumes, too: models and logs are gone.")
    ] = False,
) -> None:
    """Remove the release; volumes stay unless --delete-data is given."""
    helm.uninstall(release, namespace)
    if not delete_data:
        console.say("Removed. Its volumes stay; `enel cluster up` takes them up again.")
        return
    deleted = PresentCluster(release, namespace).delete_volumes()
    console.say(f"Removed, with the volumes {', '.join(deleted) or '(none)'}.")


def _waited(present: PresentCluster, release: str, timeout_seconds: float) -> Workload:
    """The workload once it is ready, or when there is no more time."""
    deadline = time.monotonic() + timeout_seconds
    said: list[str] = []
    with console.progress().status(f"{release}: waiting") as shown:
        while True:
            workload = present.workload()
            if workload.is_ready or time.monotonic() >= deadline:
                return workload
            waits_for = workload.waits_for()
            if waits_for != said:
                for line in waits_for:
                    console.say(f"waits for {line}")
                said = waits_for
            shown.update(f"{release}: {len(waits_for)} things to wait for")
            time.sleep(_PAUSE_SECONDS)


def _show(workload: Workload, *, as_json: bool) -> None:
    if as_json:
        console.print_json(
            {**asdict(workload), "is_ready": workload.is_ready, "waits_for": workload.waits_for()}
        )
    else:
        console.show(workload, workload_view, as_json=False)
