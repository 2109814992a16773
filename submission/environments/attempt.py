"""One attempt at an environment that a service has claimed: built, stored, and told what came of it."""

import logging
from pathlib import Path

from pymongo.errors import PyMongoError

from common.disks import is_of_the_disk, why_not_written
from common.errors import ServiceError
from common.instruments import BUILD_FAILED, BUILD_LIMITED, BUILD_READY
from common.loops import BackOff, until_done
from submission.environments.build import Built, build
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.limits import BuildFailed, BuildLimits, LimitReached
from submission.environments.log import BuildLog
from submission.environments.packed import PackedFiles
from submission.environments.repository import EnvironmentRepository

logger = logging.getLogger(__name__)


class Attempt:
    """What one claim of an environment comes to.

    Args:
        environment: As it was claimed.
        retry_seconds: Between attempts to store the outcome while MongoDB is away.
    """

    def __init__(
        self,
        environments: EnvironmentRepository,
        packed: PackedFiles,
        environment: Environment,
        log: BuildLog,
        retry_seconds: float,
    ) -> None:
        self._environments = environments
        self._packed = packed
        self._environment = environment
        self._log = log
        self._back_off = BackOff(retry_seconds, retry_seconds)

    async def build(
        self, folder: Path, limits: BuildLimits, index: dict[str, str], *, allow_source_builds: bool
    ) -> str:
        """Build it below a folder, and store the outcome, which is returned as metrics name it."""
        self._log.say(f"Python {self._environment.python_version} on {self._environment.platform}:")
        for line in self._environment.requirements:
            self._log.say(f"  {line}")
        try:
            made = await build(
                folder,
                self._environment.requirements,
                limits,
                self._log,
                index=index,
                allow_source_builds=allow_source_builds,
            )
            await self._keep(made)
        except (BuildFailed, ServiceError) as error:
            await self._fail(str(error))
            return BUILD_LIMITED if isinstance(error, LimitReached) else BUILD_FAILED
        except PyMongoError:
            raise  # nothing can be stored now; the build counts as dead after its last heartbeat
        except Exception as error:
            if isinstance(error, OSError) and is_of_the_disk(error):
                await self._fail(why_not_written(error, "DATA_DIR"))
                return BUILD_FAILED
            logger.exception("Environment %s cannot be built", self._environment.id)
            await self._fail(f"{type(error).__name__}: {error}")
            return BUILD_FAILED
        return BUILD_READY

    async def _keep(self, made: Built) -> None:
        async def written(size_bytes: int) -> None:
            self._log.say(f"Stored {size_bytes} of {made.size_bytes} bytes")

        self._log.say(f"Packed: {', '.join(made.packages) or 'nothing'}")
        parts, digest = await self._packed.write(str(self._environment.build), made.packed, written)
        await self._finish(
            EnvironmentState.READY,
            state_reason="",
            parts=[part.model_dump() for part in parts],
            size_bytes=made.size_bytes,
            sha256=digest,
            packages=made.packages,
        )
        logger.info("Environment %s is built: %d bytes", self._environment.id, made.size_bytes)

    async def _fail(self, reason: str) -> None:
        self._log.say(f"Failed: {reason}")
        logger.warning("Environment %s: its build failed: %s", self._environment.id, reason[:300])
        await self._finish(EnvironmentState.FAILED, state_reason=reason[:1000])

    async def _finish(self, state: EnvironmentState, **fields: object) -> None:
        """Store the outcome, however long MongoDB is away: minutes of work hang on it.

        Without effect where another service has taken over; what was written then goes with time.
        """
        await until_done(
            f"The outcome of environment {self._environment.id}",
            lambda: self._environments.finish(self._environment, state, self._log, **fields),
            self._back_off,
            (PyMongoError,),
        )
