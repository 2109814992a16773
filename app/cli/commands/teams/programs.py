"""`enel programs`: programs of workspaces, started and followed."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import console
from app.cli.commands.waiting import wait_for_program
from app.cli.exits import CliError, ExitCode
from app.cli.session import AsJson, Limit, session
from app.cli.views.programs import program_run_view, program_runs_view

group = typer.Typer(help="Programs of workspaces: run, list, show, logs, cancel.", no_args_is_help=True)

Workspace = Annotated[str, typer.Argument(metavar="WORKSPACE", help="Its name.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the run.")]


@group.command(context_settings={"ignore_unknown_options": True})
def run(
    context: typer.Context,
    workspace: Workspace,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Of the folder.")] = "train.py",
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENT]...", help="Of the program; all after `--`.")
    ] = None,
    folder: Annotated[str, typer.Option(help="Of the workspace.")] = ".",
    target: Annotated[float, typer.Option(min=1, help="Runtime target in seconds.")] = 3600.0,
    executors: Annotated[
        str, typer.Option(metavar="MIN:MAX", help="Fewest and most executors, such as 1:4.")
    ] = "1:1",
    gate: Annotated[
        str | None,
        typer.Option(metavar="METRIC:BETTER", help="Which figure decides, such as accuracy:higher."),
    ] = None,
    output: Annotated[str, typer.Option(help="What becomes of it: version, kept or optional.")] = "version",
    model: Annotated[str | None, typer.Option(help="Of which it makes a version.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Print its log, and wait until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a program of a workspace as it is now."""
    fewest, most = _executors(executors)
    said: dict[str, Any] = {
        "file": file,
        "folder": folder,
        "arguments": arguments or [],
        "runtime_target_seconds": target,
        "min_scale_out": fewest,
        "max_scale_out": most,
        "output": output,
        "model": model,
        "gate": _gate(gate),
    }
    with session(context).client() as client:
        started = client.run_program(workspace, **said)
        if not wait:
            console.show(started, program_run_view, as_json=as_json)
            console.say(f"Follow it: enel programs logs {started['id']} --follow")
            return
        ended = wait_for_program(client, started["id"], as_json=as_json)
    console.show(ended, program_run_view, as_json=as_json)
    if ended["state"] != "COMPLETED":
        why = ended["end_reason"] or ended["state_reason"] or "no reason is known"
        raise CliError(f"The run {ended['id']} ended as {ended['state']}: {why}", code=ExitCode.MISSED)


@group.command("list")
def list_runs(
    context: typer.Context, workspace: Workspace, limit: Limit = 20, as_json: AsJson = False
) -> None:
    """List runs of a workspace's programs, newest first."""
    with session(context).client() as client:
        found = list(islice(client.iterate_program_runs(workspace, limit=min(limit, 200)), limit))
    console.show(found, program_runs_view, as_json=as_json)


@group.command()
def show(context: typer.Context, run_id: Id, as_json: AsJson = False) -> None:
    """Show one run: how far it is, its figures, and what it has left."""
    with session(context).client() as client:
        console.show(client.program_run(run_id), program_run_view, as_json=as_json)


@group.command()
def logs(
    context: typer.Context,
    run_id: Id,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
) -> None:
    """Print the end of what it wrote."""
    with session(context).client() as client:
        if not follow:
            console.print_text(client.log(run_id).rstrip("\n"))
            return
        for line in client.follow_log(run_id):
            console.print_text(line)


@group.command()
def result(context: typer.Context, run_id: Id) -> None:
    """Print its result, as JSON."""
    with session(context).client() as client:
        console.print_text(json.dumps(client.program_result(run_id), indent=2, ensure_ascii=False))


@group.command()
def fetch(
    context: typer.Context,
    run_id: Id,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Of a file that it has left.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="On this machine; it must not be there.")],
) -> None:
    """Fetch a file that it has left."""
    if target.exists():
        raise CliError(f"{target} is there already.")
    with session(context).client() as client:
        target.write_bytes(client.program_output(run_id, path))
    console.say(f"Wrote {target}.")


@group.command()
def cancel(context: typer.Context, run_id: Id, as_json: AsJson = False) -> None:
    """End a run; it becomes no version."""
    with session(context).client() as client:
        console.show(client.cancel_program_run(run_id), program_run_view, as_json=as_json)


def _executors(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(":")
    if not fewest.isdigit() or not (most or fewest).isdigit():
        raise CliError(f"--executors {text}: write MIN:MAX, such as 1:4.")
    return int(fewest), int(most or fewest)


def _gate(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    metric, _, better = text.rpartition(":")
    if not metric or better not in ("higher", "lower"):
        raise CliError(f"--gate {text}: write METRIC:higher or METRIC:lower, such as accuracy:higher.")
    return {"metric": metric, "better": better}
