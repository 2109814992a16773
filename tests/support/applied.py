"""Reports as drivers send them, stored without a service in between."""

from typing import Any

from common.executions.documents import ApplicationExecution
from common.executions.repository import ExecutionRepository
from common.wire.events import UpdateInformation


async def send(executions: ExecutionRepository, *bodies: dict[str, Any]) -> ApplicationExecution:
    """Store reports one after the other; the execution as the last one left it."""
    for body in bodies:
        update = UpdateInformation.model_validate(body)
        stored = await executions.apply_event(update.application_execution_id, update.event())
    return stored
