"""Workspaces: who may do what in them, and snapshots of what ran."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from starlette.responses import StreamingResponse

from common.auth import Permission, Principal
from common.errors import Forbidden
from common.workspaces.documents import Snapshot, Workspace
from common.workspaces.repository import SnapshotNotFound, WorkspaceExists, WorkspaceNotFound
from common.workspaces.workspaces import Workspaces
from routers.dependencies import WorkspacesDep
from routers.pagination import Cursor, decode_cursor, encode_cursor, hint_for
from routers.principal import READS, SUBMITS, AdmittedDep, PrincipalDep
from routers.schemas import examples
from routers.schemas.workspaces import (
    SnapshotView,
    WorkspaceName,
    WorkspacePage,
    WorkspaceSpec,
    WorkspaceView,
)
from routers.workspaces import files
from routers.workspaces.downloads import ZIP, archive_of, etag_of
from routers.workspaces.permission import changeable, check_change, readable

router = APIRouter(prefix="/workspaces", tags=["workspaces"])


@router.put(
    "/{workspace}",
    dependencies=SUBMITS,
    responses={201: {"model": WorkspaceView, "description": "It was not there before"}},
)
async def put_workspace(
    workspace: WorkspaceName,
    workspaces: WorkspacesDep,
    principal: PrincipalDep,
    response: Response,
    request: Annotated[WorkspaceSpec | None, examples.WORKSPACE] = None,
) -> WorkspaceView:
    """Make a workspace of one's own, or say anew who may do what in it; repeating it is safe.

    Its owner is whoever made it. They and operators may change it, `runners` may run its programs and read,
    `readers` may read.
    """
    said = request or WorkspaceSpec()
    members = said.model_dump(include={"runners", "readers"}, exclude_none=True)
    made = Workspace(name=workspace, owner=principal.name if principal.is_known else None, **members)
    try:
        await workspaces.stored.create(made)
    except WorkspaceExists:
        present = await workspaces.stored.get(workspace)
        check_change(present, principal)
        if members:
            wanted = {"runners": present.runners, "readers": present.readers} | members
            present = await workspaces.stored.set_members(workspace, **wanted)
        return WorkspaceView.of(present, workspaces.quota, principal)
    response.status_code = status.HTTP_201_CREATED
    response.headers["Location"] = f"/workspaces/{workspace}"
    return WorkspaceView.of(made, workspaces.quota, principal)


@router.get("", dependencies=READS)
async def list_workspaces(
    workspaces: WorkspacesDep,
    principal: AdmittedDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor | None = None,
) -> WorkspacePage:
    """Those that who asks may read, newest first."""
    who = None if principal.may(Permission.OPERATE) else principal.name
    found = await workspaces.stored.newest(before=decode_cursor(cursor), limit=limit + 1, readable_by=who)
    page = found[:limit]
    return WorkspacePage(
        items=[WorkspaceView.of(each, workspaces.quota, principal) for each in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].name) if len(found) > limit else None,
        hint=hint_for(page, "PUT /workspaces/NAME makes one.", cursor),
        unreadable=found.unreadable,
    )


@router.get("/{workspace}", dependencies=READS)
async def get_workspace(
    workspace: WorkspaceName, workspaces: WorkspacesDep, principal: AdmittedDep
) -> WorkspaceView:
    """One workspace: who may do what in it, what it holds, and how much it may."""
    return WorkspaceView.of(await readable(workspace, workspaces, principal), workspaces.quota, principal)


@router.delete("/{workspace}", dependencies=SUBMITS)
async def delete_workspace(
    workspace: WorkspaceName, workspaces: WorkspacesDep, principal: PrincipalDep
) -> WorkspaceView:
    """Delete a workspace with its files. Snapshots stay: what ran can be had again."""
    present = await changeable(workspace, workspaces, principal)
    await workspaces.stored.delete(workspace)
    return WorkspaceView.of(present, workspaces.quota, principal)


@router.get("/{workspace}/snapshots/{snapshot_id}", dependencies=READS)
async def get_snapshot(
    workspace: WorkspaceName, snapshot_id: str, workspaces: WorkspacesDep, principal: AdmittedDep
) -> SnapshotView:
    """Paths, sizes and checksums of files as they were when something ran."""
    return SnapshotView.of(await _snapshot(workspace, snapshot_id, workspaces, principal))


@router.get(
    "/{workspace}/snapshots/{snapshot_id}/archive",
    dependencies=READS,
    response_class=StreamingResponse,
    responses=ZIP,
)
async def download_snapshot(
    workspace: WorkspaceName, snapshot_id: str, workspaces: WorkspacesDep, principal: AdmittedDep
) -> StreamingResponse:
    """The files of a snapshot as a ZIP: the same bytes each time."""
    found = await _snapshot(workspace, snapshot_id, workspaces, principal)
    return archive_of(
        await workspaces.pack(workspace, found.files),
        f"{workspace}-{found.id[:12]}.zip",
        etag_of(found.id),
    )


async def _snapshot(
    workspace: str, snapshot_id: str, workspaces: Workspaces, principal: Principal
) -> Snapshot:
    """Raises SnapshotNotFound or Forbidden."""
    found = await workspaces.stored.snapshot(snapshot_id)
    if found.workspace != workspace:
        raise SnapshotNotFound(f"There is no snapshot {snapshot_id[:100]!r} of {workspace!r}.")
    try:
        present = await workspaces.stored.get(workspace)
        is_the_same = present.created_at <= found.created_at
    except WorkspaceNotFound:
        is_the_same = False
    if is_the_same:
        await readable(workspace, workspaces, principal)
    elif not principal.may(Permission.OPERATE) and not (
        principal.is_known and principal.name == found.created_by
    ):
        raise Forbidden(
            f"The workspace of this snapshot is gone; {found.created_by!r}, who took it, and operators may"
            " still read it."
        )
    return found


router.include_router(files.router)
