"""Programs of workspaces, and what becomes of their runs."""

from collections.abc import AsyncIterator
from pathlib import Path

from app.wiring.storage import Storage
from common.errors import Unavailable
from common.settings.group import bundled
from common.settings.programs import ProgramSettings
from common.settings.settings import Settings
from common.workspaces.workspaces import Workspaces
from prediction.inference.records.repository import PredictionRepository
from submission.environments.documents import EnvironmentState
from submission.environments.environments import Environments
from submission.local.runner import LOCAL
from submission.manifest.platform import Platform
from submission.pipelines.digits import WORKSPACE as DIGITS
from submission.pipelines.digits import DigitsExample
from submission.pipelines.pipelines import Pipelines
from submission.pipelines.repository import PipelineRepository
from submission.programs.garbage import OutputGarbage
from submission.programs.opened import OpenPrograms
from submission.programs.outputs import Outputs
from submission.programs.preparation import Programs, Readiness
from submission.programs.publishing import ProgramPublisher
from submission.programs.repository import ProgramRunRepository
from submission.programs.rights import Rights
from submission.programs.tasks import ProgramTasks
from submission.service import SubmissionService


class EnvironmentsOfPrograms:
    """Environments as programs need them."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments

    async def require(self, requirements: bytes, *, build: bool) -> str:
        """Raises InvalidRequirements."""
        if not build:
            return self._environments.wanted(requirements).id
        return (await self._environments.ensure(requirements)).id

    async def readiness(self, environment_id: str) -> Readiness:
        """Whether it is built; one that made room for others meanwhile is built again."""
        environment = await self._environments.get(environment_id)
        if environment.state is EnvironmentState.READY:
            await self._environments.mark_used(environment_id)
            return Readiness(is_ready=True)
        if environment.state is EnvironmentState.EVICTED:
            await self._environments.build_again(environment_id)
        if environment.state is EnvironmentState.FAILED:
            why = f"Its environment {environment_id[:12]} could not be built: {environment.state_reason}"
            return Readiness(is_ready=False, failure=why)
        return Readiness(is_ready=False)

    async def ensure_built(self, environment_id: str) -> None:
        """Have it built where it is not there. Raises Unavailable while it is not."""
        readiness = await self.readiness(environment_id)
        if not readiness.is_ready:
            raise Unavailable(
                readiness.failure or f"Its environment {environment_id[:12]} is being built; ask again."
            )

    async def packed(self, environment_id: str) -> AsyncIterator[bytes]:
        """Raises EnvironmentNotFound, Conflict, ArtifactDamaged or StoreUnavailable."""
        async for piece in self._environments.stream(await self._environments.get(environment_id)):
            yield piece


async def open_programs(
    settings: ProgramSettings,
    storage: Storage,
    workspaces: Workspaces,
    environments: Environments,
    predictions: PredictionRepository,
    feedback_rows: int,
) -> OpenPrograms:
    """Beside the models, in the same database and store."""
    runs = ProgramRunRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(runs)
    of_programs = EnvironmentsOfPrograms(environments)
    outputs = Outputs(runs, storage.artifacts, settings)
    tasks = ProgramTasks(
        storage.executions,
        runs,
        workspaces,
        storage.registry,
        storage.artifacts,
        outputs,
        of_programs,
        settings,
        predictions,
        feedback_rows,
    )
    publisher = ProgramPublisher(
        storage.executions, runs, outputs, storage.registry, storage.artifacts, storage.instruments
    )
    garbage = OutputGarbage(storage.executions, runs, outputs, settings.program_output_keep_days)
    rights = Rights(workspaces, runs, storage.registry)
    preparation = Programs(workspaces, runs, of_programs, rights)
    return OpenPrograms(preparation, rights, runs, tasks, outputs, publisher, garbage)


def digits_example(
    settings: Settings, platform: Platform, workspaces: Workspaces, data_dir: Path
) -> DigitsExample:
    """The bundled example; where all machines are this one, it needs no HDFS."""
    places: dict[str, str] | None = None
    if settings.hdfs.hdfs_endpoint:
        location = f"{settings.hdfs.hdfs_output_dir.rstrip('/')}/{DIGITS}"
        places = {"location": location, "webhdfs": settings.hdfs.hdfs_endpoint}
    elif platform.name == LOCAL.name:
        places = {"location": str((data_dir / DIGITS).absolute()), "webhdfs": ""}
    return DigitsExample(workspaces, bundled("examples/digits"), data_dir, places)


async def open_pipelines(
    storage: Storage,
    workspaces: Workspaces,
    submissions: SubmissionService,
    runs: ProgramRunRepository,
    predictions: PredictionRepository,
) -> Pipelines:
    """Beside the programs that their steps are."""
    stored = PipelineRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(stored)
    return Pipelines(stored, workspaces, submissions, storage.executions, runs, predictions)
