"""`enel cluster up`: from an empty cluster to the page."""

from typing import Annotated

import typer

from app.cli import console
from app.cli.commands.cluster_release import Namespace, Port, Release, forward, wait_until_ready
from app.cli.session import AsJson
from app.cluster import programs
from app.cluster.installation.chart_values import given_values
from app.cluster.kubectl import reading_of_secret
from app.cluster.present import PresentCluster


def up(
    release: Release = "enel",
    namespace: Namespace = "enel",
    values: Annotated[
        list[str] | None, typer.Option("--values", "-f", help="File of values; may be given several times.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="A value of the chart.")
    ] = None,
    mongodb: Annotated[bool, typer.Option(help="Bring a MongoDB of one member, where none is named.")] = True,
    operator: Annotated[bool, typer.Option(help="Install the spark-operator, where there is none.")] = True,
    images: Annotated[
        bool, typer.Option(help="Build images, and load them, in a cluster of kind or minikube.")
    ] = True,
    timeout_seconds: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 600.0,
    does_forward: Annotated[
        bool, typer.Option("--forward/--no-forward", help="Reach it in the end, until Ctrl-C.")
    ] = True,
    port: Port = 0,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """From the present context, empty or not, to the page: what is missing is made, then the chart installed.

    What is there stays as it is. Ends with the address of the page.
    """
    # The service's own packages take a moment; other commands do without.
    from app.cluster.installation.carrying_out import carry_out, programs_of
    from app.cluster.installation.looking import look
    from app.cluster.installation.plan import steps
    from app.cluster.installation.situation import Wishes
    from app.cluster.installation.steps import ExtendOperator, InstallOperator

    files, single = values or [], assignments or []
    wishes = Wishes(release, namespace, given_values(files, single), mongodb, operator, images)
    cluster = PresentCluster(release, namespace)
    with console.progress().status("Looking at what is there"):
        present = look(cluster, wishes)  # a cluster that does not answer is told before anything is changed
    to_do = steps(present, wishes)
    if is_dry_run:
        _show_steps([str(step) for step in to_do], as_json=as_json)
        return
    will_forward = does_forward and not as_json
    programs.require([*programs_of(to_do), *(["kubectl"] if will_forward else [])])
    carry_out(to_do, cluster, release, files, single, console.say)
    brings_operator = any(isinstance(step, InstallOperator | ExtendOperator) for step in to_do)
    wait_until_ready(cluster, release, namespace, timeout_seconds, brings_operator, as_json=as_json)
    if wishes.admin:
        console.say(f"Sign in as admin; the token: {reading_of_secret(namespace, *wishes.admin)}")
    if will_forward:
        forward(cluster, release, namespace, port)
    else:
        console.say(f"Reach it: enel cluster url --namespace {namespace} --release {release}")


def _show_steps(to_do: list[str], *, as_json: bool) -> None:
    if as_json:
        console.print_json(to_do)
    else:
        console.print_text("\n".join(to_do))
