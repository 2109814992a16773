"""Who may run programs of a workspace, and see what they have left."""

import contextlib
from datetime import datetime

from common.auth import Permission, Principal
from common.errors import Forbidden, InvalidRequest
from common.executions.documents import ApplicationExecution
from common.models.registry import ModelRegistry
from common.models.versions import PROGRAM_KIND, model_name
from common.wire.specs import ApplicationSpecs, ProgramSpec
from common.workspaces.documents import Workspace
from common.workspaces.repository import WorkspaceNotFound
from common.workspaces.workspaces import Workspaces
from submission.programs.repository import ProgramRunRepository


class Rights:
    """Asked before anything is stored or shown; what runs already is not asked again."""

    def __init__(self, workspaces: Workspaces, runs: ProgramRunRepository, registry: ModelRegistry) -> None:
        self._workspaces = workspaces
        self._runs = runs
        self._registry = registry

    async def check_may_run(self, specs: ApplicationSpecs, principal: Principal) -> None:
        """Return if somebody may run this program, on its inputs, and make versions of its model.

        Raises:
            WorkspaceNotFound: There is none of this name.
            Forbidden: They may not.
        """
        if (program := specs.program) is None:
            return
        await self._check_may_run_in(program.workspace, principal, "programs")
        for name, run_id in program.inputs.items():
            run = await self._runs.find(run_id)
            if run is not None and not await self._may_read(run.workspace, run.created_at, principal):
                raise Forbidden(f"program.inputs.{name}: {principal.name!r} may not read what it has left.")
        names = specs.global_specs
        model = model_name(names.system_name, names.algorithm_name, PROGRAM_KIND)
        await self.check_may_make_version(model, program.workspace, principal)

    async def check_may_make_version(self, model: str, workspace: str, principal: Principal) -> None:
        """Return if somebody who may run a workspace's programs may make versions of a model with them.

        Raises:
            Forbidden: It belongs to another workspace, whose programs they may not run.
        """
        latest = await self._registry.find_latest(model)
        origin = latest.program if latest is not None else None
        if origin is None or latest is None:
            return
        there: Workspace | None = None
        with contextlib.suppress(WorkspaceNotFound):
            there = await self._workspaces.stored.get(origin.workspace)
        is_the_same = there is not None and there.created_at <= latest.created_at
        if not is_the_same:
            if not principal.may(Permission.OPERATE):
                raise Forbidden(
                    f"{model!r} is of a workspace {origin.workspace!r} that is gone; an operator may make a"
                    " version of it, which then belongs to another."
                )
        elif origin.workspace != workspace:
            await self._check_may_run_in(origin.workspace, principal, f"what makes versions of {model!r}:")

    async def check_may_run_workspace(self, name: str, principal: Principal) -> None:
        """Return if somebody may run its programs at all. Raises WorkspaceNotFound or Forbidden."""
        await self._check_may_run_in(name, principal, "programs")

    async def check_may_read(self, execution: ApplicationExecution, principal: Principal) -> None:
        """Return if somebody may see what a program's run says and leaves. Raises Forbidden."""
        program = execution.program
        if program is None:
            return
        await self.check_may_read_since(
            program.workspace, execution.created_at, execution.submitted_by, principal
        )

    async def check_may_read_since(
        self, name: str, since: datetime, owner: str | None, principal: Principal
    ) -> None:
        """Return if somebody may see what was made in a workspace then; whoever made it may.

        Raises:
            Forbidden: They may not.
        """
        if (principal.is_known and owner == principal.name) or await self._may_read(name, since, principal):
            return
        raise Forbidden(f"{principal.name!r} may not read the workspace {name!r}.")

    async def check_may_read_workspace(self, name: str, principal: Principal) -> None:
        """Return if somebody may see runs of a workspace. Raises WorkspaceNotFound or Forbidden."""
        if not (await self._workspaces.stored.get(name)).may_read(principal):
            raise Forbidden(f"{principal.name!r} may not read the workspace {name!r}.")

    async def check_is_the_same(self, program: ProgramSpec, since: datetime) -> None:
        """Return if the workspace is the one that there was then.

        Raises:
            InvalidRequest: It is another one of the same name, whose owner has promised nothing.
        """
        workspace = await self._workspaces.stored.get(program.workspace)
        if workspace.created_at > since:
            raise InvalidRequest(
                f"program.workspace: {program.workspace!r} is another one than when this was made; say anew"
                " that it is meant."
            )

    async def _check_may_run_in(self, name: str, principal: Principal, what: str) -> None:
        workspace = await self._workspaces.stored.get(name)
        if not (principal.may(Permission.SUBMIT) and workspace.may_run(principal)):
            raise Forbidden(
                f"{principal.name!r} may not run {what} of the workspace {name!r}; it belongs to"
                f" {workspace.owner or 'nobody that is known'}, who may add runners."
            )

    async def _may_read(self, name: str, since: datetime, principal: Principal) -> bool:
        """Of a workspace that is gone, or is another one by now, only operators may."""
        workspace: Workspace | None = None
        with contextlib.suppress(WorkspaceNotFound):
            workspace = await self._workspaces.stored.get(name)
        if workspace is None or workspace.created_at > since:
            return principal.may(Permission.OPERATE)
        return workspace.may_read(principal)
