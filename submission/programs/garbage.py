"""Removes outputs that nobody will ask for: of runs that did not end well, and after their time."""

import logging
from datetime import timedelta

from common.errors import ApplicationExecutionNotFound
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from submission.programs.documents import ProgramRun
from submission.programs.outputs import Outputs
from submission.programs.repository import ProgramRunRepository

logger = logging.getLogger(__name__)

_LATE = timedelta(hours=1)
"""After the end of a run: its launcher may be sending still."""


class OutputGarbage:
    """Safe at any time beside launchers and publications."""

    def __init__(
        self, executions: ExecutionRepository, runs: ProgramRunRepository, outputs: Outputs, keep_days: float
    ) -> None:
        self._executions = executions
        self._runs = runs
        self._outputs = outputs
        self._keep = timedelta(days=keep_days)

    async def collect(self) -> None:
        """One turn. Raises StoreUnavailable."""
        async for run in self._runs.with_parts(utc_now() - _LATE):
            if await self._is_garbage(run):
                await self._outputs.discard(run)
                logger.info("%s: what the program had left is removed", run.id)

    async def _is_garbage(self, run: ProgramRun) -> bool:
        if run.unpublished:
            return False
        try:
            execution = await self._executions.get(run.id)
        except ApplicationExecutionNotFound:
            return True
        ended_at = execution.ended_or_noticed_at
        if not execution.state.is_final or ended_at is None:
            return False
        is_kept = execution.state is ApplicationState.COMPLETED and run.files is not None
        return utc_now() - ended_at > (self._keep if is_kept else _LATE)
