"""Workspaces and their files."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from app.cli.console import facts, table
from app.cli.units import moment, size
from app.client.answers import File, Workspace


def workspaces_view(workspaces: Sequence[Workspace]) -> RenderableType:
    if not workspaces:
        return Text("No workspaces. `enel workspaces push NAME FOLDER` makes one.")
    columns = ("Name", "Owner", "Files", "Size", "Changed")
    rows = (
        (
            each["name"],
            each["owner"] or "–",
            str(each["files"]),
            size(each["size_bytes"]),
            moment(each["changed_at"]),
        )
        for each in workspaces
    )
    return table(columns, rows, right=("Files", "Size"))


def workspace_view(workspace: Workspace) -> RenderableType:
    quota = workspace["quota"]
    may = [
        "read",
        *(["run"] if workspace["can_run"] else []),
        *(["change"] if workspace["can_change"] else []),
    ]
    return facts(
        (
            ("Name", workspace["name"]),
            ("Owner", workspace["owner"] or ""),
            ("May run", ", ".join(map(_who, workspace["runners"]))),
            ("May read", ", ".join(map(_who, workspace["readers"]))),
            ("You may", ", ".join(may)),
            ("Files", f"{workspace['files']:,} of {quota['files']:,}"),
            ("Size", f"{size(workspace['size_bytes'])} of {size(quota['size_bytes'])}"),
            ("Largest file", size(quota["file_bytes"])),
            ("Largest archive", size(quota["archive_bytes"])),
            ("Created", moment(workspace["created_at"])),
            ("Changed", moment(workspace["changed_at"])),
        )
    )


def files_view(files: Sequence[File]) -> RenderableType:
    if not files:
        return Text("No files there.")
    columns = ("Path", "Size", "Changed", "By", "SHA-256")
    rows = (
        (
            each["path"],
            size(each["size_bytes"]),
            moment(each["changed_at"]),
            each["changed_by"] or "–",
            each["sha256"][:12],
        )
        for each in files
    )
    return table(columns, rows, right=("Size",))


def _who(name: str) -> str:
    return "everybody" if name == "*" else name
