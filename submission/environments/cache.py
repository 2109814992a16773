"""Keeps packed environments within bounds, and removes what builds have left that came to no end."""

import logging
from datetime import timedelta

from common.clocks import Unchanged
from common.instruments import Instruments
from common.loops import Loop
from common.mongo.document import utc_now
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.packed import PackedFiles
from submission.environments.repository import EnvironmentRepository

logger = logging.getLogger(__name__)

KEPT_SECONDS = 3600.0
"""Since its last use no environment goes: executors of a program may come for it one after the other."""

FORGOTTEN_SECONDS = 90 * 86_400.0
"""Since its last use, that of an environment without a packed file is forgotten, its log with it."""

_LEFT_SECONDS = 600.0
"""A service that has lost its build notices with its next heartbeat; what it stores until then goes later."""

_PAUSE_SECONDS = 60.0

_WITHOUT_FILE = [EnvironmentState.FAILED.value, EnvironmentState.EVICTED.value]


class EnvironmentCache:
    """All packed environments of a database, whichever service has built them."""

    def __init__(
        self,
        environments: EnvironmentRepository,
        packed: PackedFiles,
        most_bytes: int,
        instruments: Instruments,
        *,
        left_seconds: float = _LEFT_SECONDS,
    ) -> None:
        self._environments = environments
        self._packed = packed
        self._most_bytes = most_bytes
        self._instruments = instruments
        self._left_seconds = left_seconds
        self._left = Unchanged()

    def loop(self) -> Loop:
        """Looks once a minute."""
        return Loop("cache of environments", self.bound, _PAUSE_SECONDS)

    async def bound(self) -> None:
        """Let go what has to make room, and remove what belongs to no environment any more."""
        await self._evict()
        await self._remove_left()
        long_ago = utc_now() - timedelta(seconds=FORGOTTEN_SECONDS)
        await self._environments.stored.delete_many(
            {"state": {"$in": _WITHOUT_FILE}, "last_used_at": {"$lt": long_ago}, "written": []}
        )

    async def _evict(self) -> None:
        ready = await self._environments.many({"state": EnvironmentState.READY.value}, "last_used_at")
        total = sum(each.size_bytes or 0 for each in ready)
        for each in ready:
            if total <= self._most_bytes:
                break
            if await self._let_go(each):
                total -= each.size_bytes or 0
        self._instruments.environment_cache_bytes.set(total)
        if total > self._most_bytes:
            logger.warning("Environments take %d bytes, all of them used within the last hour", total)

    async def _let_go(self, environment: Environment) -> bool:
        """False where it was used lately; who asks for it from now on has it built again."""
        long_ago = utc_now() - timedelta(seconds=KEPT_SECONDS)
        unused = {
            "_id": environment.id,
            "build": environment.build,
            "state": EnvironmentState.READY.value,
            "last_used_at": {"$lt": long_ago},
        }
        reason = f"it made room for others; its last use was {environment.last_used_at:%Y-%m-%d %H:%M} UTC"
        gone = {"state": EnvironmentState.EVICTED.value, "state_reason": reason, "parts": []}
        if not (await self._environments.stored.update_one(unused, {"$set": gone})).matched_count:
            return False
        logger.info("Environment %s: %s", environment.id, reason)
        await self._remove(environment.id, str(environment.build))
        return True

    async def _remove_left(self) -> None:
        """Parts of builds that are not the ones of their environments."""
        found = await self._environments.many({"written": {"$ne": []}})
        left = [(each.id, build) for each in found for build in each.written if not _is_in_use(each, build)]
        self._left.keep({build for _, build in left})
        for environment_id, build in left:
            if self._left.seconds(build) >= self._left_seconds:
                await self._remove(environment_id, build)

    async def _remove(self, environment_id: str, build: str) -> None:
        await self._packed.delete(build)
        await self._environments.stored.update_one({"_id": environment_id}, {"$pull": {"written": build}})


def _is_in_use(environment: Environment, build: str) -> bool:
    in_use = environment.state in (EnvironmentState.READY, EnvironmentState.BUILDING)
    return in_use and build == environment.build
