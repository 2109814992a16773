"""`enel environments`: what programs need beside Spark, and how it was built."""

from itertools import islice
from typing import Annotated

import typer

from app.cli import console
from app.cli.session import AsJson, Limit, session
from app.cli.views.environments import environment_view, environments_view

group = typer.Typer(help="Environments of programs: list, look, logs, build again.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the environment.")]


@group.command("list")
def list_environments(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Such as FAILED.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List environments, newest first."""
    with session(context).client() as client:
        environments = client.iterate_environments(
            limit=min(limit, 200), state=state.upper() if state else None
        )
        found = list(islice(environments, limit))
    console.show(found, environments_view, as_json=as_json)


@group.command()
def show(context: typer.Context, environment_id: Id, as_json: AsJson = False) -> None:
    """Show one environment: its state and why, and what was resolved."""
    with session(context).client() as client:
        console.show(client.environment(environment_id), environment_view, as_json=as_json)


@group.command()
def log(context: typer.Context, environment_id: Id) -> None:
    """Print what its last build wrote."""
    with session(context).client() as client:
        console.print_text(client.environment_log(environment_id))


@group.command()
def build(context: typer.Context, environment_id: Id, as_json: AsJson = False) -> None:
    """Build one again that has failed, as when the index was away."""
    with session(context).client() as client:
        console.show(client.build_environment(environment_id), environment_view, as_json=as_json)
    console.say(f"Follow it: enel environments show {environment_id}")
