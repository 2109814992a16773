"""`enel workspaces`: places for the programs of people and teams."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import console
from app.cli.folders import SKIPPED, pack, unpack
from app.cli.session import AsJson, session
from app.cli.units import size
from app.cli.views.workspaces import files_view, workspace_view, workspaces_view
from app.client.client import Client
from app.client.problems import ProblemError

group = typer.Typer(help="Workspaces: places for programs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the workspace.")]
Path_ = Annotated[str, typer.Argument(metavar="PATH", help="Of a file in it.")]
Local = Annotated[Path, typer.Argument(metavar="FOLDER", help="On this machine.")]
Below = Annotated[str, typer.Option(help="A folder in the workspace; otherwise all of it.")]

_TRANSFER_SECONDS = 900.0
"""For an archive of many files."""


@group.command("list")
def list_workspaces(context: typer.Context, as_json: AsJson = False) -> None:
    """List those that you may read, newest first."""
    with session(context).client() as client:
        console.show(list(client.iterate_workspaces()), workspaces_view, as_json=as_json)


@group.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one: who may do what, and how full it is."""
    with session(context).client() as client:
        console.show(client.workspace(name), workspace_view, as_json=as_json)


@group.command()
def create(
    context: typer.Context,
    name: Name,
    runner: Annotated[
        list[str] | None, typer.Option(help="Who may run its programs; several times for several.")
    ] = None,
    reader: Annotated[
        list[str] | None, typer.Option(help="Who may read; several times for several; otherwise everybody.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace, or say anew who may do what in one of yours."""
    with session(context).client() as client:
        made = client.create_workspace(name, runners=runner or None, readers=reader or None)
        console.show(made, workspace_view, as_json=as_json)


@group.command()
def push(
    context: typer.Context,
    name: Name,
    local: Local,
    folder: Below = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove what lies there and is not on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a folder, all or nothing; the workspace is made where there is none.

    Left out are .git, __pycache__, .venv and links.
    """
    packed = pack(local)
    with session(context).client() as client:
        is_new = _make_where_missing(client, name)
        changed = client.upload_archive(
            name, packed.archive, folder=folder, replace=replace, timeout_seconds=_TRANSFER_SECONDS
        )
    if is_new:
        console.say(f"Made the workspace {name}.")
    sent = f"{packed.files:,} file{'' if packed.files == 1 else 's'}, {size(packed.size_bytes)}"
    console.say(
        f"Sent {sent} to {name}{f'/{folder}' if folder else ''}; {', '.join(SKIPPED)} are never sent."
    )
    if packed.links:
        console.say(f"Left out, because they are links: {', '.join(packed.links)}")
    console.show(changed, workspace_view, as_json=as_json)


@group.command()
def pull(
    context: typer.Context,
    name: Name,
    local: Local,
    folder: Below = "",
    snapshot: Annotated[
        str | None, typer.Option(help="What ran, by its id, and not what is there now.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what lies in FOLDER.")] = False,
) -> None:
    """Fetch the files into a folder."""
    with session(context).client() as client:
        if snapshot is None:
            archive = client.download_archive(name, folder=folder, timeout_seconds=_TRANSFER_SECONDS)
        else:
            archive = client.download_snapshot(name, snapshot, timeout_seconds=_TRANSFER_SECONDS)
    console.say(f"Wrote {unpack(archive, local, force=force):,} files to {local}.")


@group.command("ls")
def list_files(
    context: typer.Context,
    name: Name,
    folder: Annotated[str, typer.Argument(metavar="[FOLDER]", help="In the workspace.")] = "",
    as_json: AsJson = False,
) -> None:
    """List files by their paths."""
    with session(context).client() as client:
        console.show(list(client.iterate_files(name, folder=folder)), files_view, as_json=as_json)


@group.command()
def cat(context: typer.Context, name: Name, path: Path_) -> None:
    """Print a file as it is."""
    with session(context).client() as client:
        console.print_bytes(client.get_file(name, path))


@group.command()
def rm(context: typer.Context, name: Name, path: Path_, as_json: AsJson = False) -> None:
    """Remove a file, or a folder with all that lies in it."""
    with session(context).client() as client:
        console.show(client.delete_file(name, path), workspace_view, as_json=as_json)


@group.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a workspace with its files; what ran can still be had, by the id of its snapshot."""
    with session(context).client() as client:
        client.delete_workspace(name)
    console.say(f"The workspace {name} is gone; snapshots of what ran stay.")


def _make_where_missing(client: Client, name: str) -> bool:
    try:
        client.workspace(name)
    except ProblemError as problem:
        if problem.status != 404:
            raise
        client.create_workspace(name)
        return True
    return False
