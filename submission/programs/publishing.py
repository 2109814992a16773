"""Makes versions of what programs have left, once their applications have ended well.

Every step finds what an interrupted turn has already done: files in the store, the registry's entry, the
verdict of the gate. So a version is made once, and nothing half is ever one.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments, unscraped
from common.loops import Loop
from common.models.artifacts import (
    ArtifactExists,
    ArtifactStore,
    FileInfo,
    StoreUnavailable,
    describe,
    verify,
)
from common.models.registry import ModelRegistry
from common.models.versions import (
    ModelVersion,
    NewVersion,
    ProgramOrigin,
    PublishedFile,
    TrainingData,
)
from submission.programs.documents import KIND, OutputFile, ProgramRun
from submission.programs.figures import (
    METRICS_FILE,
    MOST_BYTES,
    SIGNATURE_FILE,
    Unreadable,
    judge,
    read_figures,
    read_object,
    storable,
)
from submission.programs.outputs import Outputs
from submission.programs.repository import ProgramRunRepository

logger = logging.getLogger(__name__)

_TURN_SECONDS = 2.0
_SCHEMA_VERSION = 1
_PLAIN = re.compile(r"(?!file-)[A-Za-z0-9][A-Za-z0-9 ._+-]{0,199}")
"""A path that can be the name of a file in an artifact."""


class ProgramPublisher:
    """Safe with several services on one database."""

    def __init__(
        self,
        executions: ExecutionRepository,
        runs: ProgramRunRepository,
        outputs: Outputs,
        registry: ModelRegistry,
        store: ArtifactStore,
        instruments: Instruments | None = None,
    ) -> None:
        self._executions = executions
        self._runs = runs
        self._outputs = outputs
        self._registry = registry
        self._store = store
        self._instruments = instruments or unscraped()

    def loop(self) -> Loop:
        """To run while the service does."""
        return Loop("versions of programs", self.publish_all, _TURN_SECONDS, expected=(StoreUnavailable,))

    async def publish_all(self) -> None:
        """Publish what can be; what has to wait is looked at again. Raises StoreUnavailable."""
        for run in await self._runs.unpublished():
            try:
                await self._look_at(run)
            except StoreUnavailable:
                await self._runs.release(run)
                raise
            except PyMongoError:
                raise
            except ServiceError as error:
                logger.warning("%s: no version is made of its output: %s", run.id, error)
                await self._runs.settle(run, detail=f"No version could be made: {error}"[:1000])
            except Exception as error:  # of one run: others are behind it, and it would fail again
                logger.exception("%s: no version is made of its output", run.id)
                detail = f"No version could be made: the service has failed ({type(error).__name__})."
                await self._runs.settle(run, detail=detail)

    async def _look_at(self, run: ProgramRun) -> None:
        execution = await self._executions.get(run.id)
        if execution.state.is_final and await self._runs.claim(run):
            await self._settle(execution, run)

    async def _settle(self, execution: ApplicationExecution, run: ProgramRun) -> None:
        if execution.state is not ApplicationState.COMPLETED:
            detail = f"The application is {execution.state.value.lower()}: what it left becomes no version."
            await self._runs.settle(run, detail=detail)
            await self._outputs.discard(run)
            return
        version, detail = await self._publish(execution, run)
        await self._runs.settle(run, version=version.version, detail=detail)
        logger.info("%s: became version %d of %s", run.id, version.version, version.name)

    async def _publish(self, execution: ApplicationExecution, run: ProgramRun) -> tuple[ModelVersion, str]:
        """The version, and what is wrong with what it says of itself."""
        assert run.output is not None, "it is complete"
        content = {file.path: await self._outputs.read(run.id, file) for file in run.output.files}
        names = stored_names(run.output.files)
        files = {names[path]: data for path, data in content.items()}
        told = _told_by(content)
        new = await self._new_version(execution, run, names, describe(content), told)
        version = await self._registry.find_by_artifact(new.artifact_key)
        if version is None:
            await self._write(new.artifact_key, files)
            version = await self._registry.register(new, _nothing_to_check)
        while version.promotion is None:
            champion = await self._registry.find_champion(version.name)
            gate = execution.program.gate if execution.program else None
            promotion = judge(champion, version, gate)
            if await self._registry.record_promotion(version.name, version.version, promotion):
                self._instruments.count_promotion(promotion.promoted)
                version = version.model_copy(update={"promotion": promotion})
        return version, told.complaint

    async def _new_version(
        self,
        execution: ApplicationExecution,
        run: ProgramRun,
        names: Mapping[str, str],
        infos: Mapping[str, FileInfo],
        told: "_Told",
    ) -> NewVersion:
        program, specs = execution.program, execution.global_specs
        assert program is not None, "it ran as a program"
        assert execution.snapshot_id is not None, "of files that were there"
        origin = ProgramOrigin(
            application_execution_id=execution.id,
            workspace=program.workspace,
            folder=program.folder,
            file=program.file,
            arguments=list(specs.algorithm_args),
            snapshot_id=execution.snapshot_id,
            environment_id=execution.environment_id,
            runtime_seconds=execution.runtime_seconds,
            executor_hours=await self._executor_hours(execution),
            metrics=told.metrics,
            signature=told.signature,
            parent_version=run.parent_version,
            inputs=dict(program.inputs),
            data=run.data,
        )
        return NewVersion(
            kind=KIND,
            system_name=specs.system_name,
            algorithm_name=specs.algorithm_name,
            experiment_name=specs.experiment_name,
            store=self._store.identity,
            schema_version=_SCHEMA_VERSION,
            artifact_id=f"{execution.created_at:%Y%m%dT%H%M%SZ}-{execution.id}",
            files=[
                PublishedFile(
                    name=names[path], path=path if names[path] != path else None, **info.model_dump()
                )
                for path, info in infos.items()
            ],
            validation=dict(told.metrics),
            training_data=TrainingData(runs=0, jobs=0),
            program=origin,
        )

    async def _write(self, key: str, files: Mapping[str, bytes]) -> None:
        try:
            await self._store.write(key, files)
        except ArtifactExists:  # from a turn that was cut short: nobody else writes this key
            verify(key, await self._store.read(key), describe(files))

    async def _executor_hours(self, execution: ApplicationExecution) -> float | None:
        scale_outs = await self._executions.mean_scale_outs([execution.id])
        seconds = execution.runtime_seconds
        if seconds is None or execution.id not in scale_outs:
            return None
        return scale_outs[execution.id] * seconds / 3600


def stored_names(files: list[OutputFile]) -> dict[str, str]:
    """What each file is called in an artifact, which has no folders, by its path."""
    return {
        file.path: file.path if _PLAIN.fullmatch(file.path) else f"file-{number:05d}"
        for number, file in enumerate(files)
    }


@dataclass
class _Told:
    """What a version says of itself; what nobody can read costs it nothing but that."""

    metrics: dict[str, float] = field(default_factory=dict)
    signature: dict[str, Any] | None = None
    complaint: str = ""


def _told_by(content: Mapping[str, bytes]) -> _Told:
    told = _Told()
    try:
        if (found := _small(content, METRICS_FILE)) is not None:
            told.metrics = read_figures(found)
        if (found := _small(content, SIGNATURE_FILE)) is not None:
            told.signature = storable(read_object(found, SIGNATURE_FILE))
    except Unreadable as error:
        told.complaint = str(error)[:1000]
    return told


def _small(content: Mapping[str, bytes], path: str) -> bytes | None:
    found = content.get(path)
    if found is not None and len(found) > MOST_BYTES:
        raise Unreadable(f"{path} is larger than {MOST_BYTES:,} bytes.")
    return found


async def _nothing_to_check(_: AsyncClientSession) -> None:
    """Of an application that has ended well nobody else makes a version."""
