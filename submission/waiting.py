"""Executions that no runner has yet: they have just been stored, or wait for their environment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository

_LOOK_SECONDS = 1.0


def may_wait(execution: ApplicationExecution) -> bool:
    """Whether it is handed over when its environment is ready."""
    return execution.environment_id is not None and execution.state is ApplicationState.NEW


async def once_taken(
    executions: ExecutionRepository, execution_id: str, lines: AsyncGenerator[str, None]
) -> AsyncGenerator[str, None]:
    """Lines of a runner's log, asked for once the runner has the execution: before, it knows of none.

    Raises:
        ApplicationExecutionNotFound: There is no such execution.
    """
    async with aclosing(lines):
        execution = await executions.get(execution_id)
        while execution.state is ApplicationState.NEW:
            await asyncio.sleep(_LOOK_SECONDS)
            execution = await executions.get(execution_id)
        async for line in lines:
            yield line
