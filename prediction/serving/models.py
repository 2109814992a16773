"""Which model version serves an algorithm, and its files in memory."""

import logging
from dataclasses import dataclass
from typing import Any

from common.errors import Conflict, ModelNotFound
from common.models.artifacts import ArtifactDamaged, ArtifactStore, StoreUnavailable
from common.models.registry import ModelRegistry
from common.models.versions import (
    ModelVersion,
    RegisteredModel,
    VersionElsewhere,
    VersionState,
    model_name,
    read_version,
)
from common.mongo.stored import UnreadableDocument
from prediction.forecasts.forecast import FilesNeeded
from prediction.kinds.kind import ModelKind
from prediction.serving.cache import Files, ModelCache
from prediction.serving.worker_pool import WorkerPool
from training.kinds import Kinds

logger = logging.getLogger(__name__)

BASE_NAMES = {
    "gbt": "GradientBoostedTrees",
    "mpc": "MPC",
    "logisticregression": "LogisticRegression",
    "kmeans": "KMeans",
}
"""Short names of the benchmark algorithms."""

_MOST_FALLBACKS = 10
"""Damaged versions in a row before the search for one that can serve is given up."""


@dataclass(frozen=True)
class ServedModel:
    """A version that serves, and its files."""

    version: ModelVersion
    files: Files


@dataclass(frozen=True)
class Answered:
    """What a model said, and which version it was."""

    version: ModelVersion
    answer: Any
    wait_seconds: float
    """Until a worker began."""


class Models:
    """Finds the champion of an algorithm and keeps it in memory.

    The registry is asked every time, which takes a millisecond: a new champion, or an old one that was
    called back, serves with the next request, in every service on the same database.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: ArtifactStore,
        cache: ModelCache,
        pool: WorkerPool,
        kinds: Kinds[ModelKind],
    ) -> None:
        self.registry = registry
        self.cache = cache
        self._store = store
        self._pool = pool
        self._kinds = kinds

    async def check_store(self) -> None:
        """Raises StoreUnavailable where the store with the versions' files does not answer."""
        await self._store.check()

    async def find(self, system_name: str, algorithm_name: str, kind: str) -> ServedModel | None:
        """The version of an algorithm's model of a kind that serves, or None where none does.

        A version whose files are damaged is reported and gives way to the one before.

        Raises:
            VersionElsewhere: It is not in memory, and lies in another store.
            StoreUnavailable: It is not in memory and cannot be read now.
        """
        name = model_name(system_name, algorithm_name, kind)
        for _ in range(_MOST_FALLBACKS):
            try:
                version = await self.registry.find_champion(name)
            except UnreadableDocument:  # it was reported; forecasts go on without a model
                return None
            if version is None:
                return None
            try:
                served = ServedModel(version, await self.cache.get(version))
                self._pool.prepare(self._kinds.get(kind).prepare_worker)
                return served
            except ArtifactDamaged as error:
                await self._report_damage(version, error)
            except VersionElsewhere:
                raise
            except StoreUnavailable as error:
                raise StoreUnavailable(
                    f"Version {version.version} of {name} is not in memory, and cannot be read now: {error}"
                ) from error
        return None

    async def ask_version(self, served: ServedModel, kind: str, question: Any) -> Answered:
        """Ask a version of a kind, which `find` has found, in a worker.

        Args:
            question: What the kind takes for one; so is the answer.
        Raises:
            WorkerFailed: It cannot be used, or the answer took too long.
        """
        waited = 0.0
        # Most workers have read the version, and its files may be larger than all else that is sent.
        for files in (None, dict(served.files)):
            work = self._kinds.get(kind).ask(files, served.version.artifact_key, question)
            answered = await self._pool.run_timed(work.function, work.request)
            waited += answered.wait_seconds
            if not isinstance(answered.answer, FilesNeeded):
                break
        return Answered(served.version, answered.answer, waited)

    async def preload(self, base_name: str, system_name: str = "spark") -> ModelVersion:
        """Have the champion of an algorithm ready, in memory and in a worker: that of the default kind.

        Raises:
            ModelNotFound: None serves.
            StoreUnavailable: It cannot be read now.
            WorkerFailed: It cannot be used.
        """
        algorithm_name, kind = BASE_NAMES.get(base_name.lower(), base_name), self._kinds.default
        served = await self.find(system_name, algorithm_name, kind.name)
        if served is None:
            raise ModelNotFound(f"No model is trained for {algorithm_name!r}.")
        work = kind.preload(dict(served.files), served.version.artifact_key)
        await self._pool.run(work.function, work.request)
        return served.version

    async def set_alias(
        self, name: str, alias: str, version_number: int, reason: str, *, by: str | None = None
    ) -> RegisteredModel:
        """Let an alias name a version that is known to be intact.

        Args:
            by: Who asked for it, for the record.
        Raises:
            RegisteredModelNotFound, ModelVersionNotFound: There is none.
            Conflict: It is damaged or deleted.
            StoreUnavailable: It cannot be read now; nothing has changed.
        """
        version = await self.registry.get_version(name, version_number)
        if version.state is VersionState.READY:
            try:
                await self.cache.get(version)
            except ArtifactDamaged as error:
                await self._report_damage(version, error)
        return await self.registry.set_alias(name, alias, version_number, reason, by=by)

    async def verify(self, name: str, version_number: int) -> ModelVersion:
        """Read a version's files and compare them with what was published; store what is found.

        Raises:
            ModelVersionNotFound: There is none.
            Conflict: It is deleted.
            StoreUnavailable: They cannot be read now.
        """
        version = await self.registry.get_version(name, version_number)
        if version.state is VersionState.DELETED:
            raise Conflict(f"Version {version_number} of {name!r} is deleted.")
        try:
            await read_version(self._store, version)
        except ArtifactDamaged as error:
            await self._report_damage(version, error)
        else:
            await self.registry.set_state(name, version_number, VersionState.READY, "")
        return await self.registry.get_version(name, version_number)

    async def delete_version(self, name: str, version_number: int) -> ModelVersion:
        """Delete a version that no alias names.

        Raises:
            RegisteredModelNotFound, ModelVersionNotFound: There is none.
            Conflict: An alias names it.
        """
        version = await self.registry.delete_version(name, version_number)
        self.cache.drop(version.id)
        try:
            await self._store.delete(version.artifact_key)
        except StoreUnavailable as error:
            logger.warning("The files of %s are removed later: %s", version.id, error)
        return version

    def is_cached(self, version: ModelVersion) -> bool:
        """Whether this service has the version's files in memory."""
        return version.id in self.cache

    async def _report_damage(self, version: ModelVersion, error: ArtifactDamaged) -> None:
        self.cache.drop(version.id)
        await self.registry.report_damage(version, error)
