"""Workspaces, their files, and snapshots of them, as they are stored."""

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel, Field

from common.auth import Permission, Principal
from common.mongo.document import Document, UtcTime, utc_now

EVERYBODY = "*"
"""Among members: whoever may do the like in this service at all."""


class Quota(BaseModel):
    """What one workspace may hold; a snapshot's files count as long as they are in the workspace."""

    files: int
    size_bytes: int
    file_bytes: int
    """Of one file."""
    archive_bytes: int = 64 * 1024 * 1024
    """Of an archive as it is sent."""


class Workspace(Document):
    """A place for the programs of a person or a team."""

    name: str = Field(alias="_id")
    owner: str | None = None
    """Who made it; null where nobody had to say who they are: then operators may what an owner may."""
    runners: list[str] = Field(default_factory=list)
    """Who may run its programs, if they may submit at all, and read; `*`: everybody."""
    readers: list[str] = Field(default_factory=lambda: [EVERYBODY])
    """Who may read; `*`: everybody."""
    files: int = 0
    size_bytes: int = 0
    revision: int = 0
    """Counts changes of its files."""
    created_at: UtcTime = Field(default_factory=utc_now)
    changed_at: UtcTime = Field(default_factory=utc_now)

    def may_change(self, principal: Principal) -> bool:
        """Owners may, and operators."""
        return self._is_owners(principal) and principal.may(Permission.SUBMIT)

    def may_run(self, principal: Principal) -> bool:
        """Owners may, and whom they let; all of them have to be allowed to submit."""
        return principal.may(Permission.SUBMIT) and (
            self._is_owners(principal) or _is_among(principal, self.runners)
        )

    def may_read(self, principal: Principal) -> bool:
        """Whoever may run, or could if they were allowed to submit, may read, too."""
        return self._is_owners(principal) or _is_among(principal, [*self.runners, *self.readers])

    def _is_owners(self, principal: Principal) -> bool:
        is_owner = principal.is_known and principal.name == self.owner
        return is_owner or principal.may(Permission.OPERATE)


class StoredFile(BaseModel):
    """A file by its content, which the artifact store holds under its checksum."""

    path: str
    sha256: str
    size_bytes: int


class WorkspaceFile(Document, StoredFile):
    """A file as it is now."""

    id: str = Field(alias="_id")
    """Workspace and path, with a slash between them."""
    workspace: str
    changed_at: UtcTime = Field(default_factory=utc_now)
    changed_by: str | None = None


class Snapshot(Document):
    """Files of a folder of a workspace as they were: what ran can be had again."""

    id: str = Field(alias="_id")
    """Made of the workspace and of every path and checksum: the same files are the same snapshot."""
    workspace: str
    folder: str
    """Empty: the whole workspace. Paths of files begin below it."""
    files: list[StoredFile]
    created_at: UtcTime = Field(default_factory=utc_now)
    created_by: str | None = None

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def file_id(workspace: str, path: str) -> str:
    return f"{workspace}/{path}"


def snapshot_id(workspace: Workspace, folder: str, files: Iterable[StoredFile]) -> str:
    """SHA-256 of what a snapshot holds, in hexadecimal; of another workspace of the same name it differs."""
    listing = sorted((file.path, file.sha256) for file in files)
    place = [workspace.name, workspace.created_at.isoformat()]
    text = json.dumps([place, folder, listing], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_among(principal: Principal, names: list[str]) -> bool:
    return EVERYBODY in names or principal.name in names
