"""Workspaces as HTTP shows them."""

from typing import Annotated

from pydantic import Field, StringConstraints

from common.auth import Principal
from common.forms import Form
from common.mongo.document import UtcTime
from common.wire.specs import SHORT_TEXT, WireModel
from common.workspaces.documents import Quota, Snapshot, StoredFile, Workspace, WorkspaceFile
from routers.pagination import Hint, Unreadable

WorkspaceName = Annotated[
    str,
    StringConstraints(max_length=63),
    Form(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        "a name of at most 63 lower-case letters, digits and hyphens between them, such as team-a",
    ),
]

_Members = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=SHORT_TEXT)]], Field(max_length=1000)
]


class WorkspaceSpec(WireModel):
    """Who may do what; what is left out stays as it is."""

    runners: _Members | None = None
    """Names of tokens whose holders may run its programs, if they may submit, and read; `*`: everybody."""
    readers: _Members | None = None
    """Names of tokens whose holders may read; `*`: everybody, as in a new one."""


class WorkspaceView(Workspace):
    """A workspace, how full it is, and what who asks may do."""

    name: str = Field(alias="_id", serialization_alias="name")
    quota: Quota
    can_change: bool
    can_run: bool

    @classmethod
    def of(cls, workspace: Workspace, quota: Quota, principal: Principal) -> "WorkspaceView":
        return cls(
            **workspace.model_dump(by_alias=False),
            quota=quota,
            can_change=workspace.may_change(principal),
            can_run=workspace.may_run(principal),
        )


class WorkspacePage(WireModel):
    items: list[WorkspaceView]
    """Those that who asks may read, newest first."""
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class FileView(StoredFile):
    changed_at: UtcTime
    changed_by: str | None

    @classmethod
    def of(cls, file: WorkspaceFile) -> "FileView":
        return cls.model_validate(file.model_dump())


class FilePage(WireModel):
    items: list[FileView]
    """By path."""
    next_cursor: str | None
    hint: Hint = None
    unreadable: Unreadable


class SnapshotView(Snapshot):
    """Files as they were; the archive of a snapshot holds them."""

    id: str = Field(alias="_id", serialization_alias="id")
    """Made of the workspace and of every path and checksum: the same files are the same snapshot."""
    total_bytes: int

    @classmethod
    def of(cls, snapshot: Snapshot) -> "SnapshotView":
        return cls(**snapshot.model_dump(by_alias=False), total_bytes=snapshot.size_bytes)
