"""`enel cluster`: the service in the Kubernetes cluster of the present context."""

import time
from typing import Annotated

import typer

from app.cli import console
from app.cli.commands import cluster_release, cluster_up
from app.cli.commands.cluster_release import Namespace, Port, Release, forward, show_workload
from app.cli.exits import ExitCode
from app.cli.session import AsJson
from app.cluster import helm
from app.cluster.present import PresentCluster
from app.cluster.workload import Workload

group = typer.Typer(
    help="The service in a Kubernetes cluster: install, look, reach, remove.", no_args_is_help=True
)
group.command()(cluster_up.up)


@group.command()
def status(release: Release = "enel", namespace: Namespace = "enel", as_json: AsJson = False) -> None:
    """Show pods, volumes, and what it waits for. Exits with 5 if it is not ready."""
    workload = PresentCluster(release, namespace).workload()
    show_workload(workload, as_json=as_json)
    if not workload.is_ready:
        raise typer.Exit(ExitCode.UNSOUND)


@group.command()
def watch(release: Release = "enel", namespace: Namespace = "enel") -> None:
    """Show it again whenever something changes, until Ctrl-C."""
    shown: Workload | None = None
    while True:
        workload = PresentCluster(release, namespace).workload()
        if workload != shown:
            show_workload(workload, as_json=False)
            console.print_text("")
            shown = workload
        time.sleep(cluster_release.PAUSE_SECONDS)


@group.command()
def url(release: Release = "enel", namespace: Namespace = "enel", port: Port = 0) -> None:
    """Forward a port of this machine to the service, print its address, and keep it until Ctrl-C."""
    forward(PresentCluster(release, namespace), release, namespace, port)


@group.command()
def down(
    release: Release = "enel",
    namespace: Namespace = "enel",
    delete_data: Annotated[
        bool,
        typer.Option("--delete-data", help="Delete its volumes, too: runs, models and logs are gone."),
    ] = False,
    operator: Annotated[
        bool, typer.Option("--operator", help="Remove the spark-operator that `up` has installed, too.")
    ] = False,
) -> None:
    """Remove the release, and what `up` has made for it; volumes stay unless --delete-data is given."""
    from app.cluster.installation.changing import delete_secrets  # Kubernetes' client takes a second

    cluster = PresentCluster(release, namespace)
    helm.uninstall(release, namespace)
    volumes = cluster.delete_volumes() if delete_data else []
    gone = [*(f"the volume {name}" for name in volumes)]
    gone += [f"the Secret {name}" for name in delete_secrets(cluster, release, with_mongodb=delete_data)]
    if operator:
        helm.uninstall(helm.OPERATOR, helm.OPERATOR)
        gone.append("the spark-operator (the kinds of its resources stay, as Helm leaves them)")
    console.say(f"Removed{', with ' if gone else ''}{', '.join(gone)}.")
    if not delete_data:
        console.say("Its volumes stay; `enel cluster up` takes them up again.")
