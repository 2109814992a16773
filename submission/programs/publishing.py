"""Makes versions of what programs have left, once their applications have ended well.

Every step finds what an interrupted turn has already done: files in the store, the registry's entry, the
verdict of the gate. So a version is made once, and nothing half is ever one.
"""

import logging
from collections.abc import Mapping

from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments, unscraped
from common.loops import Loop
from common.models.artifacts import ArtifactStore, StoreUnavailable
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, NewVersion, ProgramOrigin
from submission.programs.documents import ProgramRun
from submission.programs.outputs import Outputs
from submission.programs.repository import ProgramRunRepository
from submission.programs.told import Told, told_by
from submission.programs.versions import judged, new_version, registered

logger = logging.getLogger(__name__)

_TURN_SECONDS = 2.0


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
        passing = (StoreUnavailable, PyMongoError)
        return Loop("versions of programs", self.publish_all, _TURN_SECONDS, expected=passing)

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
        told = told_by(content)
        new = await self._new_version(execution, run, content, told)
        version = await self._registry.find_by_artifact(new.artifact_key)
        if version is None:
            version = await registered(self._registry, self._store, new, content)
        gate = execution.program.gate if execution.program else None
        return await judged(self._registry, version, gate, self._instruments.count_promotion), told.complaint

    async def _new_version(
        self,
        execution: ApplicationExecution,
        run: ProgramRun,
        content: Mapping[str, bytes],
        told: Told,
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
        return new_version(
            content,
            system_name=specs.system_name,
            algorithm_name=specs.algorithm_name,
            experiment_name=specs.experiment_name,
            store=self._store.identity,
            artifact_id=f"{execution.created_at:%Y%m%dT%H%M%SZ}-{execution.id}",
            validation=dict(told.metrics),
            program=origin,
        )

    async def _executor_hours(self, execution: ApplicationExecution) -> float | None:
        scale_outs = await self._executions.mean_scale_outs([execution.id])
        seconds = execution.runtime_seconds
        if seconds is None or execution.id not in scale_outs:
            return None
        return scale_outs[execution.id] * seconds / 3600
