"""`enel applications`: what became of submissions."""

from itertools import islice
from typing import Annotated, Any

import typer

from app.cli import console
from app.cli.session import AsJson, Limit, session
from app.cli.views.applications import application_view, applications_view, decisions_view

group = typer.Typer(help="Applications: list, look, logs, end.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the application execution.")]


@group.command("list")
def list_applications(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="Such as RUNNING; may be given several times.")
    ] = None,
    algorithm: Annotated[str | None, typer.Option(help="Name of an algorithm.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Name of an experiment.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Name of a schedule.")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="Those that missed their target.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List applications, newest first."""
    filters: dict[str, Any] = {
        "state": [name.upper() for name in state] if state else None,
        "algorithm_name": algorithm,
        "experiment_name": experiment,
        "schedule_name": schedule,
        "target_met": False if missed else None,
    }
    with session(context).client() as client:
        found = list(islice(client.iterate_applications(limit=min(limit, 200), **filters), limit))
    console.show(found, applications_view, as_json=as_json)


@group.command()
def show(context: typer.Context, execution_id: Id, as_json: AsJson = False) -> None:
    """Show one application: its state, jobs and decisions."""
    with session(context).client() as client:
        console.show(client.application(execution_id), application_view, as_json=as_json)


@group.command()
def logs(
    context: typer.Context,
    execution_id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
    tail: Annotated[int, typer.Option(min=1, max=10_000, help="Begin with the last so many lines.")] = 500,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Of an attempt of the driver that failed before another began.")
    ] = None,
) -> None:
    """Print what the driver wrote."""
    if follow and attempt is not None:
        raise typer.BadParameter(
            "An attempt that another one followed is over: --attempt goes without --follow."
        )
    with session(context).client() as client:
        if not follow:
            console.print_text(client.log(execution_id, tail_lines=tail, attempt=attempt))
            return
        for line in client.follow_log(execution_id, tail_lines=tail):
            console.print_text(line)


@group.command()
def kill(context: typer.Context, execution_id: Id, as_json: AsJson = False) -> None:
    """End an application; one that has ended is shown as it is."""
    with session(context).client() as client:
        client.kill(execution_id)
        console.show(client.application(execution_id), application_view, as_json=as_json)


@group.command()
def decisions(context: typer.Context, execution_id: Id, as_json: AsJson = False) -> None:
    """Show why it has the executors it has."""
    with session(context).client() as client:
        found = list(client.iterate_decisions(execution_id))
    console.show(found, decisions_view, as_json=as_json)
