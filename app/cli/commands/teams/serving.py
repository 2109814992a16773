"""`enel serving`: models that answer, asked and looked at."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import console
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, Limit, session
from app.cli.views.serving import answers_view, records_view, served_model_view, served_models_view

group = typer.Typer(help="Models that answer: serve, ask, feedback, end.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Its name; `digits` for spark.digits.program.")]


@group.command("list")
def list_served(context: typer.Context, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List models that are served, by name."""
    with session(context).client() as client:
        found = list(islice(client.iterate_served_models(limit=min(limit, 200)), limit))
    console.show(found, served_models_view, as_json=as_json)


@group.command()
def show(context: typer.Context, model: Model, as_json: AsJson = False) -> None:
    """Show what a model is asked with, and how its versions do."""
    with session(context).client() as client:
        console.show(client.served_model(model), served_model_view, as_json=as_json)


@group.command()
def start(
    context: typer.Context,
    model: Model,
    version: Annotated[str | None, typer.Option(help="Number or alias; the champion otherwise.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Of each version that is loaded.")] = None,
    canary: Annotated[
        str | None, typer.Option(metavar="VERSION:SHARE", help="Such as 4:0.1 for a tenth of the requests.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Asked the same; nobody is given its answers.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Rows that are computed together at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a model so from now on; what is left out gets its default, or after an end is as it was."""
    said: dict[str, Any] = {}
    if replicas is not None:
        said["replicas"] = replicas
    if version is not None:
        said["version"] = _version(version)
    if canary is not None:
        said["canary"] = _canary(canary)
    if shadow is not None:
        said["shadow"] = {"version": _version(shadow)}
    if batch is not None:
        said["max_batch_rows"] = batch
    with session(context).client() as client:
        console.show(client.serve_model(model, **said), served_model_view, as_json=as_json)


@group.command()
def stop(context: typer.Context, model: Model, as_json: AsJson = False) -> None:
    """Serve a model no more; its versions stay."""
    with session(context).client() as client:
        ended = client.end_serving(model)
    console.tell(ended, f"{ended['model']} is served no more.", as_json=as_json)


@group.command()
def ask(
    context: typer.Context,
    model: Model,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="JSON where it is JSON, text otherwise; @FILE: an image."
        ),
    ] = None,
    version: Annotated[str | None, typer.Option(help="One that is loaded.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model, such as `enel serving ask digits image=@seven.png`."""
    inputs = dict(_value(each) for each in values or [])
    with session(context).client() as client:
        wanted = None if version is None else _version(version)
        answer = client.predict(model, inputs, version=wanted)
    console.show(answer, answers_view, as_json=as_json)


@group.command()
def feedback(
    context: typer.Context,
    model: Model,
    prediction_id: Annotated[str, typer.Argument(metavar="ID", help="Of the prediction.")],
    right: Annotated[bool | None, typer.Option("--right/--wrong")] = None,
    label: Annotated[str | None, typer.Option(help="The right one.")] = None,
    note: Annotated[str | None, typer.Option()] = None,
    as_json: AsJson = False,
) -> None:
    """Say of a prediction whether it was right."""
    verdict = None if right is None else "right" if right else "wrong"
    with session(context).client() as client:
        record = client.give_feedback(model, prediction_id, verdict=verdict, label=label, note=note)
    console.show([record], records_view, as_json=as_json)


@group.command()
def predictions(context: typer.Context, model: Model, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List what a model was asked lately, the latest first."""
    with session(context).client() as client:
        found = list(islice(client.iterate_predictions(model, limit=min(limit, 200)), limit))
    console.show(found, records_view, as_json=as_json)


@group.command()
def publish(
    context: typer.Context,
    workspace: Annotated[str, typer.Argument(metavar="WORKSPACE")],
    model: Model,
    folder: Annotated[str, typer.Option(help="Of the workspace.")] = ".",
    gate: Annotated[
        str | None, typer.Option(metavar="METRIC:BETTER", help="Such as accuracy:higher.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a version of a folder with an exported model."""
    wanted = None
    if gate is not None:
        metric, _, better = gate.partition(":")
        wanted = {"metric": metric, "better": better}
    with session(context).client() as client:
        version = client.publish_folder(workspace, model, folder=folder, gate=wanted)
    console.tell(version, f"{model}: version {version['version']}", as_json=as_json)


def _version(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _canary(text: str) -> dict[str, Any]:
    version, separator, share = text.rpartition(":")
    try:
        if not separator:
            raise ValueError(text)
        return {"version": _version(version), "share": float(share)}
    except ValueError:
        raise CliError(f"--canary: {text!r} is no VERSION:SHARE.", "Such as 4:0.1.") from None


def _value(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise CliError(f"{text!r} is no KEY=VALUE.", "Such as age=41, or image=@seven.png.")
    if value.startswith("@"):
        try:
            return name, Path(value[1:]).read_bytes()
        except OSError as error:
            raise CliError(f"{value[1:]}: {error.strerror}", code=ExitCode.REFUSED) from error
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
