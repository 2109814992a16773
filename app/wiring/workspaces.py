"""Workspaces, and what collects contents that nothing refers to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.wiring.storage import Storage
from common.settings.workspaces import WorkspaceSettings
from common.workspaces.documents import Quota
from common.workspaces.garbage import ContentGarbage
from common.workspaces.repository import WorkspaceRepository
from common.workspaces.workspaces import Workspaces


@dataclass(frozen=True)
class OpenWorkspaces:
    """What is asked for files, and what tidies up behind them."""

    workspaces: Workspaces
    collect_garbage: Callable[[], Awaitable[float | None]]


async def open_workspaces(settings: WorkspaceSettings, storage: Storage) -> OpenWorkspaces:
    """Beside the models, in the same store."""
    quota = Quota(
        files=settings.workspace_max_files,
        size_bytes=settings.workspace_max_bytes,
        file_bytes=settings.workspace_max_file_bytes,
        archive_bytes=settings.workspace_max_upload_bytes,
    )
    stored = WorkspaceRepository(storage.mongo, storage.database, quota)
    storage.setting_up.begin_indexes(stored)
    garbage = ContentGarbage(stored, storage.artifacts)
    return OpenWorkspaces(Workspaces(stored, storage.artifacts), garbage.collect)
