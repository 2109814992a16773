"""Programs of workspaces, and what becomes of their runs."""

from collections.abc import AsyncIterator
from typing import Protocol

from app.wiring.storage import Storage, create_indexes
from common.errors import InvalidRequest, NotFound
from common.instruments import Instruments
from common.settings.programs import ProgramSettings
from common.workspaces.workspaces import Workspaces
from submission.pipelines.pipelines import Pipelines
from submission.pipelines.repository import PipelineRepository
from submission.programs.opened import OpenPrograms
from submission.programs.outputs import Outputs
from submission.programs.preparation import Programs, Readiness
from submission.programs.publishing import ProgramPublisher
from submission.programs.repository import ProgramRunRepository
from submission.programs.tasks import ProgramTasks
from submission.service import SubmissionService


class Environments(Protocol):
    """What programs need of environments."""

    async def require(self, requirements: bytes) -> str: ...

    async def readiness(self, environment_id: str) -> Readiness: ...

    def packed(self, environment_id: str) -> AsyncIterator[bytes]: ...


class NoEnvironments:
    """Until there are any."""

    async def require(self, requirements: bytes) -> str:
        """Raises InvalidRequest."""
        raise InvalidRequest("requirements.txt: this service builds no environments.")

    async def readiness(self, environment_id: str) -> Readiness:
        """It never will be."""
        return Readiness(is_ready=False, failure=f"There is no environment {environment_id}.")

    async def packed(self, environment_id: str) -> AsyncIterator[bytes]:
        """Raises NotFound."""
        raise NotFound(f"There is no environment {environment_id}.")
        yield b""


async def open_programs(
    settings: ProgramSettings,
    storage: Storage,
    workspaces: Workspaces,
    environments: Environments,
    instruments: Instruments,
) -> OpenPrograms:
    """Beside the models, in the same database and store."""
    runs = ProgramRunRepository(storage.mongo, storage.database)
    await create_indexes(runs)
    outputs = Outputs(runs, storage.artifacts, settings)
    tasks = ProgramTasks(
        storage.executions,
        runs,
        workspaces,
        storage.registry,
        storage.artifacts,
        outputs,
        environments,
        settings,
    )
    publisher = ProgramPublisher(
        storage.executions, runs, outputs, storage.registry, storage.artifacts, instruments
    )
    return OpenPrograms(Programs(workspaces, runs, environments), runs, tasks, outputs, publisher)


async def open_pipelines(
    storage: Storage, workspaces: Workspaces, submissions: SubmissionService, runs: ProgramRunRepository
) -> Pipelines:
    """Beside the programs that their steps are."""
    stored = PipelineRepository(storage.mongo, storage.database)
    await create_indexes(stored)
    return Pipelines(stored, workspaces, submissions, storage.executions, runs)
