"""`enel pipelines`: steps that a workspace's YAML file declares."""

import json
from itertools import islice
from typing import Annotated, Any

import typer

from app.cli import console
from app.cli.commands.waiting import wait_for_pipeline
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, Limit, session
from app.cli.views.programs import pipeline_run_view, pipeline_runs_view

group = typer.Typer(help="Pipelines of workspaces: run, list, show, result, cancel.", no_args_is_help=True)

Workspace = Annotated[str, typer.Argument(metavar="WORKSPACE", help="Its name.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the pipeline's run.")]


@group.command()
def run(
    context: typer.Context,
    workspace: Workspace,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Of the folder.")] = "pipeline.yaml",
    folder: Annotated[str, typer.Option(help="Of the workspace.")] = ".",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Several times.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Run what has not changed, too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline; a step that nothing has changed for is not run again."""
    parameters = dict(_parameter(each) for each in parameter or [])
    with session(context).client() as client:
        found = client.run_pipeline(workspace, file=file, folder=folder, parameters=parameters, anew=anew)
        if wait:
            found = wait_for_pipeline(client, found["id"])
    console.show(found, pipeline_run_view, as_json=as_json)
    if wait and found["state"] != "SUCCEEDED":
        raise CliError(f"The pipeline {found['id']} ended as {found['state']}.", code=ExitCode.MISSED)


@group.command("list")
def list_runs(
    context: typer.Context, workspace: Workspace, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List runs of a workspace's pipelines, newest first."""
    with session(context).client() as client:
        found = list(islice(client.iterate_pipeline_runs(workspace, limit=min(limit, 200)), limit))
    console.show(found, pipeline_runs_view, as_json=as_json)


@group.command()
def show(context: typer.Context, run_id: Id, as_json: AsJson = False) -> None:
    """Show one run and its steps."""
    with session(context).client() as client:
        console.show(client.pipeline_run(run_id), pipeline_run_view, as_json=as_json)


@group.command()
def result(context: typer.Context, run_id: Id) -> None:
    """Print the result of its result step, as JSON."""
    with session(context).client() as client:
        console.print_text(json.dumps(client.pipeline_result(run_id), indent=2, ensure_ascii=False))


@group.command()
def cancel(context: typer.Context, run_id: Id, as_json: AsJson = False) -> None:
    """End the steps that run, and start no more."""
    with session(context).client() as client:
        console.show(client.cancel_pipeline_run(run_id), pipeline_run_view, as_json=as_json)


def _parameter(text: str) -> tuple[str, Any]:
    """A name and a value; what is a number or a boolean in JSON is one."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise CliError(f"--parameter {text}: write NAME=VALUE.")
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, bool | int | float) else value
