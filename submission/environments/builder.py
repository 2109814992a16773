"""Builds queued environments, one at a time, each in a process of its own.

The stored environment is the truth: this loop claims one, tells what its build writes, and finds builds
whose service died. Such a build starts over; after three starts it has failed. READY is stored last,
after every part of the packed file, and only by the build that has written them.
"""

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from pymongo.errors import PyMongoError

from common.clocks import Unchanged
from common.instruments import Instruments
from common.loops import Loop
from common.processes.guarded import owner_is_dead, service_identity
from common.settings.environments import EnvironmentSettings
from submission.environments.attempt import Attempt
from submission.environments.build import remove_folder
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.index import index_environment, secrets_of
from submission.environments.limits import BuildLimits
from submission.environments.log import BuildLog
from submission.environments.packed import PackedFiles
from submission.environments.repository import EnvironmentRepository
from submission.environments.requirements import own_platform, own_python

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Starts of one build, counting those that a dying service cut short."""

MISSED_HEARTBEATS = 5
"""After these a build counts as dead."""

_DISK_PER_PACKED_BYTE = 8
"""Downloads, what is unpacked of them, and the packed file; pandas takes six times its packed size."""


class EnvironmentBuilder:
    """Carries out builds; `loop` is to run while the service does.

    Args:
        folder: For builds alone; what lies there is removed.
        heartbeat_seconds: Between two signs of life of a build.
    """

    def __init__(
        self,
        environments: EnvironmentRepository,
        packed: PackedFiles,
        settings: EnvironmentSettings,
        folder: Path,
        heartbeat_seconds: float,
        instruments: Instruments,
    ) -> None:
        self._environments = environments
        self._packed = packed
        self._settings = settings
        self._folder = folder
        self._heartbeat_seconds = heartbeat_seconds
        self._instruments = instruments
        self._owner = service_identity()
        self._python, self._platform = own_python(), own_platform()
        self._heartbeats = Unchanged()
        """By environment, as this service sees them."""
        self._wake = asyncio.Event()
        most = settings.environment_max_bytes
        self._limits = BuildLimits(
            seconds=settings.environment_build_seconds,
            memory_bytes=settings.build_memory_bytes,
            disk_bytes=_DISK_PER_PACKED_BYTE * most,
            packed_bytes=min(most, settings.environment_cache_bytes),
        )

    def wake(self) -> None:
        """One was queued: look now instead of at the next turn."""
        self._wake.set()

    def loop(self) -> Loop:
        """Builds what is queued; it looks at every heartbeat, and when one is queued here."""
        return Loop("environments", self._turn, self._heartbeat_seconds, wake=self._wake)

    async def _turn(self) -> float | None:
        """Build one; after one, seconds until the next."""
        await asyncio.to_thread(self._remove_left)
        await self._recover_dead()
        environment = await self._claim()
        if environment is None:
            return None
        await self._carry_out(environment)
        return 0.0

    async def _recover_dead(self) -> None:
        """Queue again, or give up, what a service has left that has died."""
        building = await self._environments.many({"state": EnvironmentState.BUILDING.value})
        self._heartbeats.keep({each.id for each in building})
        for each in building:
            if not self._is_dead(each):
                continue
            reason = f"the service that built it stopped during attempt {each.attempts}"
            logger.warning("Environment %s: %s", each.id, reason)
            if each.attempts >= MAX_ATTEMPTS:
                await self._environments.finish(each, EnvironmentState.FAILED, None, state_reason=reason)
            else:
                reason = f"{reason}; it starts over"
                await self._environments.finish(each, EnvironmentState.WAITING, None, state_reason=reason)

    def _is_dead(self, environment: Environment) -> bool:
        silent_seconds = self._heartbeats.seconds(
            environment.id, (environment.owner, environment.heartbeat_at)
        )
        if environment.owner == self._owner:
            return True  # this service builds one at a time, and looks between two
        silent = silent_seconds > MISSED_HEARTBEATS * self._heartbeat_seconds
        return silent or owner_is_dead(environment.owner or "//")

    async def _claim(self) -> Environment | None:
        """Take a queued one; what was taken while the service was being stopped is given back."""
        claiming = asyncio.ensure_future(self._environments.claim(self._owner, self._python, self._platform))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                if (environment := await claiming) is not None:
                    await self._give_back(environment)
            raise

    async def _give_back(self, environment: Environment) -> None:
        reason = "the service was stopped; it starts over"
        attempts = environment.attempts - 1
        await self._environments.finish(
            environment, EnvironmentState.WAITING, None, state_reason=reason, attempts=attempts
        )

    async def _carry_out(self, environment: Environment) -> None:
        logger.info("Environment %s is built (attempt %d)", environment.id, environment.attempts)
        started, log = time.monotonic(), BuildLog()
        work = asyncio.create_task(self._work(environment, log))
        try:
            try:
                if not await self._follow(environment, work, log):
                    logger.warning("Environment %s was taken over by another service", environment.id)
                    return
                self._instruments.count_environment_build(await work, time.monotonic() - started)
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                await self._give_back(environment)
            raise
        finally:
            await asyncio.to_thread(self._remove_left)

    async def _work(self, environment: Environment, log: BuildLog) -> str:
        """Build it and store the outcome, which is returned as metrics name it."""
        index = await index_environment(self._settings.environment_index_url.get_secret_value())
        log.hide(secrets_of(index))
        attempt = Attempt(self._environments, self._packed, environment, log, self._heartbeat_seconds)
        folder = self._folder / str(environment.build)
        sources = self._settings.environment_allow_source_builds
        return await attempt.build(folder, self._limits, index, allow_source_builds=sources)

    async def _follow(self, environment: Environment, work: asyncio.Task[str], log: BuildLog) -> bool:
        """Signs of life until the work has ended; False where it is somebody else's now."""
        stored = -1
        while not work.done():
            await asyncio.wait({work}, timeout=self._heartbeat_seconds)
            if work.done():
                break
            try:
                version = log.version
                if not await self._environments.beat(environment, log if version != stored else None):
                    await asyncio.wait({work}, timeout=1.0)  # it may have stored its outcome just now
                    return work.done()
                stored = version
            except PyMongoError as error:  # its outcome is stored once it is there, if nobody took over
                logger.warning(
                    "Environment %s: no heartbeat was stored: %s", environment.id, type(error).__name__
                )
        return True

    def _remove_left(self) -> None:
        """Folders of builds, also of those that a service before this one was killed at."""
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                remove_folder(folder)
