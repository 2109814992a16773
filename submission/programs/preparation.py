"""What has to be there before a program runs: its files as they are now, and its environment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.errors import InvalidRequest
from common.executions.documents import ApplicationExecution
from common.wire.specs import ProgramSpec
from common.workspaces.documents import Snapshot, StoredFile
from common.workspaces.paths import check_path
from common.workspaces.workspaces import Workspaces
from submission.programs.repository import ProgramRunRepository
from submission.programs.rights import Rights

REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class Readiness:
    """Whether an environment is there."""

    is_ready: bool
    failure: str = ""
    """Why it never will be."""


class Environments(Protocol):
    """Environments of programs (`submission.environments`)."""

    async def require(self, requirements: bytes, *, build: bool) -> str:
        """Id of the environment of a requirements.txt.

        Args:
            build: Have it built where it is not there.
        Raises:
            InvalidRequest: The file says what no environment can be made of.
        """
        ...

    async def readiness(self, environment_id: str) -> Readiness:
        """Whether a program may start with it."""
        ...


@dataclass(frozen=True)
class Prepared:
    """What a run of a program uses."""

    snapshot_id: str
    environment_id: str | None


class Programs:
    """Programs of workspaces, before they run."""

    def __init__(
        self,
        workspaces: Workspaces,
        runs: ProgramRunRepository,
        environments: Environments,
        rights: Rights,
    ) -> None:
        self.rights = rights
        self._workspaces = workspaces
        self._runs = runs
        self._environments = environments

    async def prepare(
        self, program: ProgramSpec, by: str | None, since: datetime | None = None, *, keep: bool = True
    ) -> Prepared:
        """What it runs with from now on, whatever changes afterwards.

        Args:
            since: When somebody who might had this started for later; None: just now.
            keep: Without it nothing is stored or built: what it would run with.
        Raises:
            WorkspaceNotFound, SnapshotNotFound, FileNotInWorkspace, InvalidRequest: It cannot run.
        """
        if since is not None:
            await self.rights.check_is_the_same(program, since)
        snapshot = await self._snapshot(program, by, keep)
        file = check_path(program.file)
        if not file.endswith(".py"):
            raise InvalidRequest(f"program.file is {file!r}: a program is a Python file (.py).")
        _find(snapshot, file)
        for name, run_id in program.inputs.items():
            run = await self._runs.find(run_id)
            if run is None or run.files is None:
                raise InvalidRequest(
                    f"program.inputs.{name}: the run {run_id!r} has left nothing (any more)."
                )
        return Prepared(snapshot.id, await self.environment_of(snapshot, build=keep))

    async def readiness(self, execution: ApplicationExecution) -> Readiness:
        """Whether it may start now."""
        if execution.environment_id is None:
            return Readiness(is_ready=True)
        return await self._environments.readiness(execution.environment_id)

    async def _snapshot(self, program: ProgramSpec, by: str | None, keep: bool) -> Snapshot:
        folder = "" if program.folder in (".", "./") else check_path(program.folder)
        if program.snapshot_id is None:
            take = self._workspaces.take_snapshot if keep else self._workspaces.look_at
            return await take(program.workspace, by, folder=folder)
        workspace = await self._workspaces.stored.get(program.workspace)
        snapshot = await self._workspaces.stored.snapshot(program.snapshot_id)
        if snapshot.created_at < workspace.created_at:
            raise InvalidRequest("program.snapshot_id: it is of a workspace that had this name before.")
        if (snapshot.workspace, snapshot.folder) != (program.workspace, folder):
            raise InvalidRequest(
                f"program.snapshot_id: it is of {snapshot.folder or '.'!r} in {snapshot.workspace!r}."
            )
        return snapshot

    async def environment_of(self, snapshot: Snapshot, *, build: bool = True) -> str | None:
        """What its requirements.txt asks for; None: nothing. Raises InvalidRequest."""
        found = next((file for file in snapshot.files if file.path == REQUIREMENTS), None)
        if found is None:
            return None
        content = await self._workspaces.content(snapshot.workspace, found)
        if not _says_anything(content):
            return None
        return await self._environments.require(content, build=build)


def _find(snapshot: Snapshot, path: str) -> StoredFile:
    """Raises InvalidRequest where it is not there, and names what might be meant."""
    for file in snapshot.files:
        if file.path == path:
            return file
    programs = [file.path for file in snapshot.files if file.path.endswith(".py")][:5]
    there = f"; there is {', '.join(programs)}" if programs else ", nor any other Python file"
    raise InvalidRequest(f"program.file: there is no {path!r} in {snapshot.folder or '.'!r}{there}.")


def _says_anything(requirements: bytes) -> bool:
    lines = requirements.decode(errors="replace").splitlines()
    return any(line.split("#")[0].strip() for line in lines)
