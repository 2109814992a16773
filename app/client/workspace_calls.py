"""Requests about workspaces: who may do what in them, their files, archives and snapshots."""

from collections.abc import Sequence

from app.client.answers import File, Page, Snapshot, Workspace
from app.client.calls import PAGE, Call, given, path_of

_BYTES = {"Content-Type": "application/octet-stream"}


def create_workspace(
    name: str, *, runners: Sequence[str] | None = None, readers: Sequence[str] | None = None
) -> Call[Workspace]:
    """Make a workspace, or say anew who may do what in one's own; what is left out stays as it is.

    Args:
        runners: Names of those who may run its programs; `*`: everybody.
        readers: Names of those who may read; `*`: everybody, as in a new one.
    """
    body = given(
        runners=None if runners is None else list(runners), readers=None if readers is None else list(readers)
    )
    return Call("PUT", path_of("workspaces", name), body=body or None)


def workspaces(*, limit: int = PAGE, cursor: str | None = None) -> Call[Page[Workspace]]:
    """Those that one may read, newest first."""
    return Call("GET", "/workspaces", given(limit=limit, cursor=cursor))


def workspace(name: str) -> Call[Workspace]:
    return Call("GET", path_of("workspaces", name))


def delete_workspace(name: str) -> Call[Workspace]:
    """With its files; snapshots stay."""
    return Call("DELETE", path_of("workspaces", name))


def files(
    workspace: str, *, folder: str = "", limit: int = PAGE, cursor: str | None = None
) -> Call[Page[File]]:
    """By path, those below a folder; empty: all."""
    params = given(folder=folder or None, limit=limit, cursor=cursor)
    return Call("GET", path_of("workspaces", workspace, "files"), params)


def put_file(
    workspace: str, path: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False
) -> Call[File]:
    """Store a file, or replace it.

    Args:
        if_match: Only where it has this SHA-256 now; otherwise the problem has status 412.
        if_absent: Only where it is not there; the same.
    """
    headers = _if_match(if_match) | ({"If-None-Match": "*"} if if_absent else {})
    return Call("PUT", _file(workspace, path), headers=_BYTES | headers, content=content)


def get_file(workspace: str, path: str) -> Call[bytes]:
    return Call("GET", _file(workspace, path), is_file=True)


def delete_file(workspace: str, path: str, *, if_match: str | None = None) -> Call[Workspace]:
    """Remove a file, or a folder with all that lies in it."""
    return Call("DELETE", _file(workspace, path), headers=_if_match(if_match))


def upload_archive(
    workspace: str,
    archive: bytes,
    *,
    folder: str = "",
    replace: bool = False,
    timeout_seconds: float | None = None,
) -> Call[Workspace]:
    """Store what a ZIP or tar (with gzip or bzip2) holds, all or nothing.

    Args:
        folder: Where to; empty: the workspace itself.
        replace: Remove what lies there and is not in the archive.
        timeout_seconds: Of the answer, where many files take longer than others.
    """
    return Call(
        "POST",
        path_of("workspaces", workspace, "archive"),
        given(folder=folder or None, replace=replace),
        headers=_BYTES,
        content=archive,
        timeout_seconds=timeout_seconds,
    )


def download_archive(
    workspace: str, *, folder: str = "", timeout_seconds: float | None = None
) -> Call[bytes]:
    """A ZIP of what is there now."""
    path = path_of("workspaces", workspace, "archive")
    return Call("GET", path, given(folder=folder or None), timeout_seconds=timeout_seconds, is_file=True)


def snapshot(workspace: str, snapshot_id: str) -> Call[Snapshot]:
    """Paths, sizes and checksums of what ran."""
    return Call("GET", path_of("workspaces", workspace, "snapshots", snapshot_id))


def download_snapshot(
    workspace: str, snapshot_id: str, *, timeout_seconds: float | None = None
) -> Call[bytes]:
    """A ZIP of what ran."""
    path = path_of("workspaces", workspace, "snapshots", snapshot_id, "archive")
    return Call("GET", path, timeout_seconds=timeout_seconds, is_file=True)


def _file(workspace: str, path: str) -> str:
    return path_of("workspaces", workspace, "files", *path.split("/"))


def _if_match(sha256: str | None) -> dict[str, str]:
    return {} if sha256 is None else {"If-Match": f'"{sha256}"'}
