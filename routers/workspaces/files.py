"""Files of workspaces, one by one and as archives."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status
from pydantic import StringConstraints
from starlette.responses import StreamingResponse

from common.errors import PreconditionFailed
from common.workspaces.documents import Workspace
from common.workspaces.paths import LONGEST_PATH, check_path
from common.workspaces.repository import FileNotInWorkspace
from routers.dependencies import WorkspacesDep
from routers.media.uploads import UploadDep, raw_body
from routers.pagination import hint_for
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.schemas.workspaces import FilePage, FileView, WorkspaceName, WorkspaceView
from routers.workspaces.downloads import FILE, ZIP, archive_of, etag_of, file_of, names, unchanged
from routers.workspaces.permission import changeable, check_change, readable

router = APIRouter(prefix="/{workspace}")

_Text = Annotated[str, StringConstraints(max_length=LONGEST_PATH)]
Folder = Annotated[_Text, Query(description="Below which; empty: the whole workspace.")]
_ETags = Annotated[str | None, Header(max_length=1000)]


@router.get("/files", dependencies=READS)
async def list_files(
    workspace: WorkspaceName,
    workspaces: WorkspacesDep,
    principal: AdmittedDep,
    folder: Folder = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: _Text | None = None,
) -> FilePage:
    """Files by their paths, with sizes and checksums."""
    await readable(workspace, workspaces, principal)
    folder = check_path(folder) if folder else ""
    found = await workspaces.stored.files(workspace, folder=folder, after=cursor, limit=limit + 1)
    page = found[:limit]
    return FilePage(
        items=[FileView.of(file) for file in page],
        next_cursor=page[-1].path if len(found) > limit else None,
        hint=hint_for(page, f"PUT /workspaces/{workspace}/files/PATH stores one.", folder or None, cursor),
        unreadable=found.unreadable,
    )


@router.put(
    "/files/{path:path}",
    dependencies=SUBMITS,
    openapi_extra=raw_body("application/octet-stream"),
    responses={201: {"model": FileView, "description": "It was not there before"}},
)
async def put_file(
    workspace: WorkspaceName,
    path: str,
    workspaces: WorkspacesDep,
    principal: PrincipalDep,
    upload: UploadDep,
    response: Response,
    if_match: _ETags = None,
    if_none_match: _ETags = None,
) -> FileView:
    """Store the body as a file, whatever its content type, or replace the file.

    The ETag is its SHA-256. `If-Match` replaces only what it names, `If-None-Match: *` nothing (412).
    """
    await changeable(workspace, workspaces, principal)
    path = check_path(path)
    content = await upload.read(workspaces.quota.file_bytes, "WORKSPACE_MAX_FILE_BYTES")
    before: dict[str, str] = {}

    def precondition(found: Workspace, present: Mapping[str, str]) -> None:
        check_change(found, principal)
        before.clear()
        before.update(present)
        _check(path, present.get(path), if_match, if_none_match)

    await workspaces.put(workspace, path, content, principal.name, precondition=precondition)
    stored = await workspaces.stored.file(workspace, path)
    response.headers["ETag"] = etag_of(stored.sha256)
    if path not in before:
        response.status_code = status.HTTP_201_CREATED
    return FileView.of(stored)


@router.get("/files/{path:path}", dependencies=READS, response_class=Response, responses=FILE)
async def get_file(
    workspace: WorkspaceName,
    path: str,
    workspaces: WorkspacesDep,
    principal: AdmittedDep,
    if_none_match: _ETags = None,
) -> Response:
    """The bytes of a file, to be kept: whatever they are, no browser shows them as a page."""
    await readable(workspace, workspaces, principal)
    file = await workspaces.stored.file(workspace, check_path(path))
    etag = etag_of(file.sha256)
    if names(if_none_match, etag):
        return unchanged(file.path, etag)
    return file_of(await workspaces.content(workspace, file), file.path, etag)


@router.delete("/files/{path:path}", dependencies=SUBMITS)
async def delete_file(
    workspace: WorkspaceName,
    path: str,
    workspaces: WorkspacesDep,
    principal: PrincipalDep,
    if_match: _ETags = None,
) -> WorkspaceView:
    """Remove a file, or a folder with all that lies in it; answers what is left."""
    await changeable(workspace, workspaces, principal)
    path = check_path(path)

    def precondition(found: Workspace, present: Mapping[str, str]) -> None:
        check_change(found, principal)
        _check(path, present.get(path), if_match, None)

    left = await workspaces.remove(workspace, path, principal.name, precondition=precondition)
    return WorkspaceView.of(left, workspaces.quota, principal)


@router.post(
    "/archive",
    dependencies=SUBMITS,
    openapi_extra=raw_body(
        "application/zip", "application/x-tar", "application/gzip", "application/octet-stream"
    ),
)
async def upload_archive(
    workspace: WorkspaceName,
    workspaces: WorkspacesDep,
    principal: PrincipalDep,
    upload: UploadDep,
    folder: Folder = "",
    replace: bool = False,
) -> WorkspaceView:
    """Store what a ZIP or tar holds (with gzip or bzip2), all or nothing.

    `replace` removes what lies in the folder and is not in the archive. Links, devices, passwords and paths
    that lead elsewhere are refused.
    """
    await changeable(workspace, workspaces, principal)
    archive = await upload.read(workspaces.quota.archive_bytes, "WORKSPACE_MAX_UPLOAD_BYTES")
    changed = await workspaces.upload(
        workspace,
        archive,
        principal.name,
        folder=folder,
        replace=replace,
        precondition=lambda found, _: check_change(found, principal),
    )
    return WorkspaceView.of(changed, workspaces.quota, principal)


@router.get("/archive", dependencies=READS, response_class=StreamingResponse, responses=ZIP)
async def download_archive(
    workspace: WorkspaceName, workspaces: WorkspacesDep, principal: AdmittedDep, folder: Folder = ""
) -> StreamingResponse:
    """A ZIP of the files as they are in one moment; their paths begin below the folder."""
    await readable(workspace, workspaces, principal)
    folder = check_path(folder) if folder else ""
    found = await workspaces.stored.files_at_once(workspace, folder)
    if not found:
        raise FileNotInWorkspace(f"There is no file in {folder or workspace!r}.")
    below = len(folder) + 1 if folder else 0
    files = [file.model_copy(update={"path": file.path[below:]}) for file in found]
    name = f"{folder.rpartition('/')[2] or workspace}.zip"
    return archive_of(await workspaces.pack(workspace, files), name)


def _check(path: str, sha256: str | None, if_match: str | None, if_none_match: str | None) -> None:
    """Raises PreconditionFailed."""
    etag = None if sha256 is None else etag_of(sha256)
    if if_match is not None and (etag is None or not names(if_match, etag)):
        present = "is not there" if etag is None else "has been changed since"
        raise PreconditionFailed(f"{path!r} {present}, and nothing was stored (If-Match).")
    if if_none_match is not None and etag is not None and names(if_none_match, etag):
        raise PreconditionFailed(f"{path!r} is there, and nothing was stored (If-None-Match).")
