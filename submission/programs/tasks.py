"""What a launcher is given: what to run, within which limits, and the files that it needs."""

import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from common.errors import Conflict, NotFound
from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import PROGRAM_KIND, ModelVersion, VersionState, model_name, read_version
from common.settings.programs import ProgramSettings
from common.wire.specs import ProgramSpec
from common.workspaces.paths import check_path
from common.workspaces.workspaces import Workspaces
from prediction.inference.records.repository import PredictionRepository
from submission.manifest.arguments import arguments_of
from submission.programs.documents import Json, ProgramRun
from submission.programs.feedback import feedback_files
from submission.programs.outputs import PART_BYTES, Outputs, described
from submission.programs.repository import ProgramRunRepository

_BLOCK = tarfile.BLOCKSIZE


class PackedEnvironments(Protocol):
    """Environments as files (`submission.environments`)."""

    def packed(self, environment_id: str) -> AsyncIterator[bytes]:
        """The file, piece by piece. Raises NotFound."""
        ...


@dataclass(frozen=True)
class ArchivedFile:
    """A file of an archive, whose content is read when its turn comes."""

    path: str
    size_bytes: int
    content: Callable[[], AsyncIterator[bytes]]


class ProgramTasks:
    """Answers launchers."""

    def __init__(
        self,
        executions: ExecutionRepository,
        runs: ProgramRunRepository,
        workspaces: Workspaces,
        registry: ModelRegistry,
        store: ArtifactStore,
        outputs: Outputs,
        environments: PackedEnvironments,
        settings: ProgramSettings,
        predictions: PredictionRepository,
        feedback_rows: int,
    ) -> None:
        """Args:
        feedback_rows: Predictions with feedback that a run is given at most.
        """
        self._executions = executions
        self._runs = runs
        self._workspaces = workspaces
        self._registry = registry
        self._store = store
        self._outputs = outputs
        self._environments = environments
        self._settings = settings
        self._predictions = predictions
        self._feedback_rows = feedback_rows

    async def start(self, application_execution_id: str) -> Json:
        """A new attempt, and what its launcher has to know.

        Raises:
            ApplicationExecutionNotFound, NotFound: There is none, or it is of no program.
            Conflict: It has ended.
        """
        execution, program = await self.running(application_execution_id)
        snapshot = await self._workspaces.stored.snapshot(execution.snapshot_id or "")
        champion = await self._champion(execution)
        run = await self._runs.start(execution.id, program.workspace, champion.version if champion else None)
        settings = self._settings
        return {
            "application_execution_id": execution.id,
            "attempt": run.attempt,
            "snapshot_id": snapshot.id,
            "file": check_path(program.file),
            "arguments": arguments_of(
                execution.global_specs.algorithm_args, execution.scheduled_for or execution.created_at
            ),
            "files": [file.model_dump() for file in snapshot.files],
            "environment": execution.environment_id,
            "parent": _parent(champion) if champion else None,
            "feedback": True,
            "inputs": {
                name: described(await self._output_files(run_id)) for name, run_id in program.inputs.items()
            },
            "output": {
                "needed": program.output != "optional",
                "files": self._outputs.most_files,
                "size_bytes": self._outputs.most_bytes,
                "part_bytes": PART_BYTES,
            },
            "limits": {
                "time_seconds": program.time_limit_seconds,
                "disk_bytes": settings.program_disk_max_bytes,
                "processes": settings.program_max_processes,
                "log_bytes": settings.program_log_max_bytes,
            },
        }

    async def running(self, application_execution_id: str) -> tuple[ApplicationExecution, ProgramSpec]:
        """An execution that may still report, and its program.

        Raises:
            ApplicationExecutionNotFound, NotFound: There is none, or it is of no program.
            Conflict: It has ended.
        """
        execution = await self._executions.get(application_execution_id)
        if execution.program is None:
            raise NotFound(f"The application execution {execution.id} runs no program of a workspace.")
        if execution.state.is_final:
            raise Conflict(f"The application execution {execution.id} is {execution.state.value.lower()}.")
        return execution, execution.program

    async def ended(self, run: ProgramRun) -> None:
        """Note when a program started that Spark's listener says nothing of, since it made no session."""
        execution = await self._executions.get(run.id)
        if execution.start_time is None and run.started_at is not None:
            await self._executions.note(run.id, {"start_time": run.started_at})

    async def snapshot_files(self, application_execution_id: str) -> list[ArchivedFile]:
        """What it runs. Raises as `running` does."""
        execution, program = await self.running(application_execution_id)
        snapshot = await self._workspaces.stored.snapshot(execution.snapshot_id or "")

        def reading(file: Any) -> Callable[[], AsyncIterator[bytes]]:
            return lambda: _at_once(lambda: self._workspaces.content(program.workspace, file))

        return [ArchivedFile(file.path, file.size_bytes, reading(file)) for file in snapshot.files]

    async def parent_files(self, application_execution_id: str) -> list[ArchivedFile]:
        """Those of the version that served when it started. Raises NotFound where there was none."""
        execution, _ = await self.running(application_execution_id)
        run = await self._runs.find(execution.id)
        if run is None or run.parent_version is None:
            raise NotFound(f"The run {execution.id} has no parent version.")
        version = await self._registry.get_version(model_of(execution), run.parent_version)
        content = await read_version(self._store, version)

        def reading(name: str) -> Callable[[], AsyncIterator[bytes]]:
            async def read() -> bytes:
                return content[name]

            return lambda: _at_once(read)

        return [
            ArchivedFile(file.path or file.name, file.size_bytes, reading(file.name))
            for file in version.files
        ]

    async def input_files(self, application_execution_id: str, name: str) -> list[ArchivedFile]:
        """What another program has left. Raises NotFound where there is no input of this name."""
        _, program = await self.running(application_execution_id)
        run_id = program.inputs.get(name)
        if run_id is None:
            raise NotFound(f"The run has no input {name[:100]!r}.")

        def reading(file: Any) -> Callable[[], AsyncIterator[bytes]]:
            return lambda: self._outputs.stream(run_id, file)

        files = await self._output_files(run_id)
        return [ArchivedFile(file.path, file.size_bytes, reading(file)) for file in files]

    async def feedback(self, application_execution_id: str) -> AsyncIterator[bytes]:
        """An archive of what people have said of the model that it trains. Raises as `running` does."""
        execution, _ = await self.running(application_execution_id)
        limit = self._feedback_rows
        return tar_of(feedback_files(self._predictions, model_of(execution), limit))

    async def environment(self, application_execution_id: str) -> AsyncIterator[bytes]:
        """The packed environment. Raises NotFound where it has none."""
        execution, _ = await self.running(application_execution_id)
        if execution.environment_id is None:
            raise NotFound(f"The run {execution.id} has no environment of its own.")
        return self._environments.packed(execution.environment_id)

    async def _champion(self, execution: ApplicationExecution) -> ModelVersion | None:
        champion = await self._registry.find_champion(model_of(execution))
        usable = champion is not None and champion.state is VersionState.READY
        return champion if usable else None

    async def _output_files(self, run_id: str) -> Any:
        run = await self._runs.find(run_id)
        if run is None or run.files is None:
            raise Conflict(f"The run {run_id!r} has left nothing (any more).")
        return run.files


async def tar(files: list[ArchivedFile]) -> AsyncIterator[bytes]:
    """An archive as it goes out; only parts of files are in memory.

    Raises:
        ServiceError: A file cannot be read; what has gone out has no end then, and nobody takes it for whole.
    """
    for file in files:
        header = tarfile.TarInfo(file.path)
        header.size = file.size_bytes
        content = file.content()
        first = await anext(content, b"")  # before the header: what cannot be read at all is not begun
        yield header.tobuf(tarfile.PAX_FORMAT, "utf-8") + first
        async for piece in content:
            yield piece
        yield b"\0" * (-file.size_bytes % _BLOCK)
    yield b"\0" * 2 * _BLOCK


async def tar_of(files: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    """An archive of files that come one at a time, of which no list is known before."""
    async for path, content in files:
        header = tarfile.TarInfo(path)
        header.size = len(content)
        yield header.tobuf(tarfile.PAX_FORMAT, "utf-8") + content + b"\0" * (-len(content) % _BLOCK)
    yield b"\0" * 2 * _BLOCK


async def _at_once(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    yield await read()


def _parent(champion: ModelVersion) -> Mapping[str, Any]:
    files = [
        {"path": file.path or file.name, "size_bytes": file.size_bytes, "sha256": file.sha256}
        for file in champion.files
    ]
    return {"model": champion.name, "version": champion.version, "files": files}


def model_of(execution: ApplicationExecution) -> str:
    """Name of the model that an execution's program trains."""
    specs = execution.global_specs
    return model_name(specs.system_name, specs.algorithm_name, PROGRAM_KIND)
