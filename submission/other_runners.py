"""Runners of other services on the same MongoDB: where they are, whether they live, and what is left of them.

A local runner ends its applications with its service, and only that service can go on with them. Each gives a
sign of life; one that gives none is gone, with its machine or its folder, and what it had may be ended from
elsewhere. Should it only have stood still, it learns of that with its next sign, and ends its drivers.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.errors import Conflict
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.drivers import EVENT_LOG
from common.executions.repository import ExecutionRepository
from common.loops import Loop
from common.mongo.document import utc_now
from common.mongo.transactions import DURABLE
from common.mongo.types import Client
from common.processes.guarded import owner_is_dead, service_identity
from submission.runners import Runner

logger = logging.getLogger(__name__)

SIGN_SECONDS = 10.0
"""Between two signs of life."""

GONE_SECONDS = 60.0
"""Without a sign, after which a runner is taken to be gone: by the clock of MongoDB alone."""

_NEVER_SEEN_FOR = timedelta(days=1)
"""In which nothing has come of an execution, where its runner is of a version that gave no signs."""


@dataclass(frozen=True)
class SeenRunner:
    """A runner by its last sign."""

    name: str
    address: str
    """Where its service listens, and on which machine."""
    owner: str
    seen_at: datetime
    silent_seconds: float

    @property
    def is_gone(self) -> bool:
        return self.silent_seconds > GONE_SECONDS or owner_is_dead(self.owner)


class OtherRunners:
    """Signs of all runners of a database, this service's own included.

    Args:
        address: Where this service listens, and on which machine.
    """

    def __init__(
        self, client: Client, database: str, executions: ExecutionRepository, own: Runner, address: str
    ) -> None:
        self._signs = client.get_database(database, write_concern=DURABLE)["runner"]
        self._executions = executions
        self._own = own
        self._address = address
        self._owner = service_identity()

    def loop(self) -> Loop:
        return Loop("sign of the runner", self.give_sign, SIGN_SECONDS)

    async def give_sign(self) -> None:
        """Say that this service's runner lives, and end what others have taken to be lost."""
        said = {"address": self._address, "owner": self._owner}
        own = {"_id": self._own.name}
        before = await self._signs.find_one_and_update(
            own, {"$set": said, "$currentDate": {"seen_at": True}}, upsert=True
        )
        for execution_id in (before or {}).get("ended_elsewhere", ()):
            logger.warning(
                "%s: was ended from elsewhere, while nothing was heard of this service", execution_id
            )
            await self._own.stop(execution_id)
            await self._signs.update_one(own, {"$pull": {"ended_elsewhere": execution_id}})

    async def find(self, name: str) -> SeenRunner | None:
        """None where it has never given a sign."""
        silence = {"$dateDiff": {"startDate": "$seen_at", "endDate": "$$NOW", "unit": "millisecond"}}
        found = await self._signs.aggregate(
            [{"$match": {"_id": name, "seen_at": {"$type": "date"}}}, {"$set": {"silent_ms": silence}}]
        )
        async for sign in found:
            return SeenRunner(
                name,
                str(sign.get("address", "")),
                str(sign.get("owner", "")),
                sign["seen_at"],
                sign["silent_ms"] / 1000,
            )
        return None

    async def whereabouts(self, execution: ApplicationExecution) -> str:
        """Which service has an execution that is not this one's, and since when nothing was heard of it."""
        runner = execution.runner
        if not runner:
            return f"{execution.id} was handed to no runner."
        seen = await self.find(runner)
        if seen is None:
            return f"{execution.id} belongs to the runner {runner}, whose service has given no sign of life."
        return (
            f"{execution.id} belongs to the runner {runner} of the service at {seen.address}, last seen"
            f" {seen.seen_at:%Y-%m-%d %H:%M:%S} UTC."
        )

    async def note(self, execution: ApplicationExecution) -> str | None:
        """What is to be known of an execution that waits or runs elsewhere; None: nothing."""
        if execution.runner == self._own.name or execution.state.is_final:
            return None
        if not await self._is_lost(execution):
            return None
        return (
            f"{await self.whereabouts(execution)} It is taken to be gone: what {execution.id} does now is not"
            " known, and to end the application (DELETE) ends it here."
        )

    async def check_lost(self, execution: ApplicationExecution) -> None:
        """Raises Conflict where its runner lives, or may: that service is to be asked; or it has none."""
        if execution.runner == EVENT_LOG:
            raise Conflict(f"{execution.id} is known by its event log alone: nothing of it runs here.")
        if not await self._is_lost(execution):
            raise Conflict(f"{await self.whereabouts(execution)} Only that service can end it.")

    async def end_lost(self, execution: ApplicationExecution, reason: str) -> None:
        """Record the end of an execution whose runner is gone."""
        lost = f"{reason} {await self.whereabouts(execution)} What became of its driver is not known."
        # First, so that a service that comes back in between learns of it.
        await self._signs.update_one(
            {"_id": execution.runner}, {"$addToSet": {"ended_elsewhere": execution.id}}, upsert=True
        )
        if execution.driver_reports:
            await self._executions.record_driver_ended(execution.id, lost)
            return
        fields: dict[str, Any] = {"outcome_unknown": True}
        await self._executions.record_state(execution.id, ApplicationState.KILLED, lost, fields=fields)

    async def _is_lost(self, execution: ApplicationExecution) -> bool:
        if "/" not in execution.runner:  # of a platform, which goes on without any service
            return False
        seen = await self.find(execution.runner)
        if seen is not None:
            return seen.is_gone
        moments = [change.at for change in execution.state_changes]
        moments += filter(None, (execution.created_at, execution.last_job_end_time))
        return utc_now() - max(moments) > _NEVER_SEEN_FOR
