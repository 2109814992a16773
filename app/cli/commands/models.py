"""`enel models`: versions, and which of them serves."""

from typing import Annotated

import typer

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.served import CHAMPION, served_before
from app.cli.session import AsJson, session
from app.cli.views.models import ModelWithVersions, model_view, models_view
from app.client.client import Client
from app.client.problems import ProblemError

group = typer.Typer(help="Models: versions, and which of them serves.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a model, or of the algorithm that has one.")]
Reason = Annotated[str | None, typer.Option(help="For the record.")]


@group.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List models by name."""
    with session(context).client() as client:
        console.show(list(client.iterate_models()), models_view, as_json=as_json)


@group.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one model with its versions."""
    with session(context).client() as client:
        console.show(_with_versions(client, _resolved(client, name)), model_view, as_json=as_json)


@group.command()
def promote(
    context: typer.Context,
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1)],
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a version serve, in every service from the next request on."""
    with session(context).client() as client:
        model = _resolved(client, name)
        client.set_alias(model, CHAMPION, version, reason=reason or "promoted on the command line")
        console.show(_with_versions(client, model), model_view, as_json=as_json)


@group.command()
def rollback(context: typer.Context, name: Name, reason: Reason = None, as_json: AsJson = False) -> None:
    """Let the version serve that served before the present one; another roll-back goes further back."""
    with session(context).client() as client:
        model = _resolved(client, name)
        version = _before(client, model)
        client.set_alias(model, CHAMPION, version, reason=reason or "rolled back on the command line")
        console.show(_with_versions(client, model), model_view, as_json=as_json)


def _resolved(client: Client, name: str) -> str:
    """The model's name, also from that of an algorithm. Raises CliError, ProblemError."""
    try:
        return client.model(name)["name"]
    except ProblemError as problem:
        if problem.status != 404:
            raise
    found = [model["name"] for model in client.iterate_models(algorithm_name=name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CliError(f"{name} has several models: {', '.join(found)}.", "Name one of them.")
    raise CliError(
        f"There is no model of {name}.",
        f"`enel train {name}` makes one; `enel models list` lists them.",
        ExitCode.REFUSED,
    )


def _before(client: Client, model: str) -> int:
    """The latest version that served before the present one, and can serve again. Raises CliError."""
    found = client.model(model)
    usable = {each["version"] for each in client.iterate_versions(model) if each["state"] == "READY"}
    former = served_before(found["alias_changes"], found["champion"])
    for version in former:
        if version in usable:
            return version
    present = "" if found["champion"] is None else f" before version {found['champion']}"
    again = " that could serve again" if former else ""
    raise CliError(
        f"{model}: no version served{present}{again}.",
        f"`enel models show {model}` lists the versions; `enel models promote` takes any of them.",
        ExitCode.REFUSED,
    )


def _with_versions(client: Client, model: str) -> ModelWithVersions:
    return {**client.model(model), "versions": list(client.iterate_versions(model))}
