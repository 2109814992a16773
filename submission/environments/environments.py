"""Environments for whoever runs programs: asked for, looked at, handed out."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from common.errors import Conflict
from common.loops import Loop
from common.models.artifacts import ArtifactDamaged
from common.mongo.document import utc_now
from submission.environments.builder import EnvironmentBuilder
from submission.environments.cache import EnvironmentCache
from submission.environments.documents import Environment, EnvironmentState
from submission.environments.packed import PackedFiles
from submission.environments.repository import EnvironmentRepository, refuse_unless_failed
from submission.environments.requirements import environment_id, normalized, own_platform, own_python

RETRY_SECONDS = 600.0
"""What has failed is built again where somebody asks so long after: the index may have been away, and a
program that runs every night must not wait for a person."""


class Environments:
    """What is built of requirements, once for all who ask for the same."""

    def __init__(
        self,
        repository: EnvironmentRepository,
        builder: EnvironmentBuilder,
        cache: EnvironmentCache,
        packed: PackedFiles,
    ) -> None:
        self.repository = repository
        self._builder = builder
        self._cache = cache
        self._packed = packed

    async def ensure(self, requirements: bytes) -> Environment:
        """The environment of these requirements, queued where it is not built; it counts as used now.

        One that has FAILED is returned as it is for ten minutes, then queued again.

        Args:
            requirements: The content of a `requirements.txt`.
        Raises:
            InvalidRequirements: Naming the line; NoRequirements where no package is named.
        """
        environment = await self.repository.store(self.wanted(requirements))
        if _is_to_be_built(environment):
            environment = await self.repository.queue(environment.id, [environment.state])
        if environment.state is EnvironmentState.WAITING:
            self._builder.wake()
        return environment

    def wanted(self, requirements: bytes) -> Environment:
        """The environment of these requirements as it would be stored. Raises InvalidRequirements."""
        lines, python, platform = normalized(requirements), own_python(), own_platform()
        return Environment(
            id=environment_id(lines, python, platform),
            requirements=lines,
            python_version=python,
            platform=platform,
        )

    async def get(self, environment_id: str) -> Environment:
        """Raises EnvironmentNotFound or UnreadableDocument."""
        return await self.repository.get(environment_id)

    async def read_log(self, environment_id: str) -> str:
        """What its last build wrote so far, at most the last 200 KB. Raises EnvironmentNotFound."""
        return await self.repository.read_log(environment_id)

    async def mark_used(self, environment_id: str) -> None:
        """Keep it for another hour, as while a program runs whose executors may still come for it."""
        await self.repository.mark_used(environment_id)

    async def stream(self, environment: Environment) -> AsyncIterator[bytes]:
        """The packed file, at most 16 MiB at a time, each piece checked; it counts as used.

        Raises:
            EnvironmentNotFound: It has been forgotten.
            Conflict: It is not READY (any more).
            ArtifactDamaged: The file is not what was stored; it has failed then, and can be built again.
            StoreUnavailable: The store does not answer now.
        """
        current = await self.repository.get(environment.id)
        if current.state is not EnvironmentState.READY:
            raise Conflict(f"Environment {current.id} is {current.state.value}: {current.state_reason}")
        try:
            async for piece in self._packed.read(current.parts):
                await self.repository.mark_used(current.id)
                yield piece
        except ArtifactDamaged as error:
            await self.repository.mark_damaged(current, f"its packed file is damaged: {error}")
            raise

    async def build_again(self, environment_id: str) -> Environment:
        """Queue one that has FAILED or was EVICTED; one that waits or is being built is returned as it is.

        Raises:
            EnvironmentNotFound: There is none.
            Conflict: It is READY.
        """
        environment = await self.repository.get(environment_id)
        if environment.state in (EnvironmentState.WAITING, EnvironmentState.BUILDING):
            return environment
        refuse_unless_failed(environment)
        environment = await self.repository.queue(environment_id, [environment.state])
        self._builder.wake()
        return environment

    def loops(self) -> Sequence[Loop]:
        """Building, with taking over from services that died; and bounding the cache."""
        return [self._builder.loop(), self._cache.loop()]


def _is_to_be_built(environment: Environment) -> bool:
    if environment.state is EnvironmentState.EVICTED:
        return True
    if environment.state is not EnvironmentState.FAILED:
        return False
    ended = environment.ended_at or environment.created_at
    return utc_now() - ended > timedelta(seconds=RETRY_SECONDS)
