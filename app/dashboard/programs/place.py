"""A workspace on its page: what it holds, what may be started, what has run."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from app.dashboard.programs.declared import declared_in
from app.dashboard.programs.form import DEFAULTS
from app.dashboard.rendering import render
from common.auth import Principal
from common.errors import Forbidden
from common.workspaces.documents import Workspace, WorkspaceFile
from common.workspaces.repository import WorkspaceNotFound
from routers.programs.people import list_program_runs
from routers.programs.views import ProgramRunPage
from routers.state import ServiceState
from routers.workspaces.permission import readable
from routers.workspaces.places import list_workspaces

_WORKSPACES = 200
"""That one may choose from; others are reached by their address."""

_RUNS = 15
_PIPELINE_RUNS = 10


@dataclass(frozen=True)
class Shelf:
    """Files of a workspace, as the form offers them."""

    files: list[WorkspaceFile]

    @property
    def folders(self) -> list[str]:
        """All that hold something, `.` first."""
        found = {"."}
        for file in self.files:
            folder = posixpath.dirname(file.path)
            while folder and folder not in found:
                found.add(folder)
                folder = posixpath.dirname(folder)
        return sorted(found, key=lambda folder: (folder != ".", folder))

    def programs(self, folder: str) -> list[str]:
        """Python files of a folder, from it on; those that lie in it before those below."""
        below = "" if folder == "." else f"{folder}/"
        found = [
            file.path[len(below) :]
            for file in self.files
            if file.path.startswith(below) and file.path.endswith(".py")
        ]
        return sorted(found, key=lambda path: (path.count("/"), path))

    def choice(self, typed: Mapping[str, str]) -> dict[str, str]:
        """The same with a folder and a file, where none was typed."""
        folder = typed.get("folder") or next(
            (each for each in self.folders if any("/" not in path for path in self.programs(each))), "."
        )
        programs = self.programs(folder)
        file = typed.get("file") or ("train.py" if "train.py" in programs else "".join(programs[:1]))
        return {**typed, "folder": folder, "file": file}


async def whole_page(
    request: Request,
    state: ServiceState,
    principal: Principal,
    name: str,
    typed: Mapping[str, str],
    *,
    cursor: str = "",
    status: int = 200,
    **shown: Any,
) -> Response:
    """The page, and what is shown on it of a run or a pipeline.

    That stays to be seen by whoever may, also where its workspace is gone, or no longer theirs to read.

    Raises:
        WorkspaceNotFound, Forbidden: Nothing but the workspace is to be shown.
    """
    choice = await list_workspaces(state.workspaces, principal, limit=_WORKSPACES)
    nothing: dict[str, Any] = {"workspace": None, "picture": None, "pipeline": None, "errors": {}}
    of_forms: dict[str, Any] = {"of_pipeline": {}, "made": "", "not_made": ""}
    context = {**nothing, **of_forms, "name": name, "workspaces": choice.items, **shown}
    if name:
        try:
            context |= await _of_workspace(name, state, principal, typed, cursor)
        except (WorkspaceNotFound, Forbidden):
            if context["picture"] is None and context["pipeline"] is None:
                raise
    page = render(request, "training/page.html", **context)
    page.status_code = status
    return page


async def _of_workspace(
    name: str, state: ServiceState, principal: Principal, typed: Mapping[str, str], cursor: str
) -> dict[str, Any]:
    workspace: Workspace = await readable(name, state.workspaces, principal)
    shelf = Shelf(list(await state.workspaces.stored.files(name)))
    declared, more_declared = await declared_in(name, shelf.files, state.workspaces)
    return {
        "workspace": workspace,
        "quota": state.workspaces.quota,
        "shelf": shelf,
        "typed": shelf.choice({**DEFAULTS, **typed}),
        "key": typed.get("key") or uuid4().hex,
        "may_run": workspace.may_run(principal),
        "may_change": workspace.may_change(principal),
        "declared": declared,
        "more_declared": more_declared,
        **await ran_in(name, state, principal, cursor),
    }


async def ran_in(name: str, state: ServiceState, principal: Principal, cursor: str) -> dict[str, Any]:
    """What the history of a workspace shows, newest first."""
    history: ProgramRunPage = await list_program_runs(
        name, state.executions, state.programs, principal, limit=_RUNS, cursor=cursor or None
    )
    pipeline_runs = await state.pipelines.stored.newest(name, before=None, limit=_PIPELINE_RUNS)
    return {"history": history, "pipeline_runs": pipeline_runs, "cursor": cursor}
