"""Brings trained models to the store and the registry, and lets them serve.

What is trained is kept in the service's own folder first (the outbox), so that neither a kill nor an
absent store loses it. From there, in this order: files beside their place in the store, compared and
renamed; the registry's entry; the alias; the run's outcome; the outbox is emptied. Every step finds
what an interrupted attempt has already done, so that starting over at any point ends the same.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from common.instruments import Instruments, unscraped
from common.loops import BackOff, Loop, running
from common.models.artifacts import (
    ArtifactDamaged,
    ArtifactExists,
    ArtifactNotFound,
    ArtifactStore,
    StoreUnavailable,
    describe,
    verify,
)
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, NewVersion, published_files
from common.mongo.stored import UnreadableDocument
from common.processes.guarded import service_identity
from training.promotion.gate import Gate
from training.runs.documents import TrainingResult, TrainingRun, TrainingState
from training.runs.outbox import Outbox
from training.runs.repository import TrainingRunRepository

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 30.0


class Superseded(Exception):
    """Another attempt of the training has taken over, or it was cancelled."""


class Publisher:
    """Publishes what is in the outbox; its `loops` are to run while the service does."""

    def __init__(
        self,
        runs: TrainingRunRepository,
        registry: ModelRegistry,
        store: ArtifactStore,
        gate: Gate,
        outbox: Outbox,
        heartbeat_seconds: float,
        instruments: Instruments | None = None,
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._store = store
        self._gate = gate
        self._outbox = outbox
        self._heartbeat_seconds = heartbeat_seconds
        self._instruments = instruments or unscraped()
        self._owner = service_identity()
        self._wake = asyncio.Event()
        self._back_off = BackOff(2 * heartbeat_seconds, max(_LONGEST_PAUSE_SECONDS, heartbeat_seconds))
        self._waited = 0
        """Turns in a row after which something still had to wait."""

    async def keep(self, new: NewVersion, files: Mapping[str, bytes]) -> None:
        """Take over a trained model; when this returns it will be published, come what may."""
        await self._outbox.put(new, files)
        self._wake.set()

    def wake(self) -> None:
        """Look now: a cancellation was asked for, or the store may be back."""
        self._wake.set()

    async def kept(self) -> set[str]:
        """Artifact ids of the models that are still to be published."""
        return set(await self._outbox.items())

    async def claim(self) -> None:
        """After a start: tell that the models in the outbox are looked after, before others take over.

        Where a kill has cut a transaction short, MongoDB holds the run for about a minute. The start
        does not wait for that: publishing itself tries again.
        """
        await self._outbox.remove_incomplete()
        for artifact_id in await self._outbox.items():
            try:
                new, _ = await self._outbox.get(artifact_id)
                if new.training_run_id:
                    await self._runs.take_for_publishing(new.training_run_id, artifact_id, self._owner)
            except (ArtifactDamaged, UnreadableDocument, PyMongoError) as error:
                logger.warning("Artifact %s is looked after later: %s", artifact_id, type(error).__name__)

    def loops(self) -> tuple[Loop, Loop]:
        """Publishing, and signs of life for runs whose models wait."""
        pause_seconds = self._heartbeat_seconds
        return (
            Loop("publishing", self._turn, pause_seconds, expected=(PyMongoError,), wake=self._wake),
            Loop("models that wait", self._beat, pause_seconds, pause_seconds),
        )

    async def _turn(self) -> float | None:
        """Publish what is there; where something has to wait, seconds until the next turn."""
        self._waited = self._waited + 1 if await self.publish_all() else 0
        return self._back_off.seconds(self._waited) if self._waited else None

    async def _beat(self) -> None:
        waiting = await self._outbox.items()
        if waiting and await self._runs.beat(waiting, self._owner):
            self._wake.set()

    async def publish_all(self) -> int:
        """Publish everything in the outbox; returns how many have to wait: for the store, or until their run
        can be read."""
        waiting = 0
        for artifact_id in await self._outbox.items():
            try:
                await self._publish(artifact_id)
            except (StoreUnavailable, UnreadableDocument):
                waiting += 1
        return waiting

    async def _publish(self, artifact_id: str) -> None:
        try:
            new, files = await self._outbox.get(artifact_id)
        except ArtifactDamaged as error:
            logger.error("%s It is dropped; its training starts over, unless it has ended.", error)
            await self._outbox.remove(artifact_id)
            return
        assert new.training_run_id is not None, "only trainings publish through the outbox"
        run = await self._runs.take_for_publishing(new.training_run_id, artifact_id, self._owner)
        try:
            if run is None:
                raise Superseded(f"training {new.training_run_id} goes on without it")
            await self._publish_for(run, new, files)
        except Superseded as reason:
            logger.warning("Artifact %s is not published: %s", artifact_id, reason)
            if await self._registry.find_by_artifact(new.artifact_key) is None:
                with contextlib.suppress(StoreUnavailable):  # later a collection of garbage finds it
                    await self._store.delete(new.artifact_key)
        except StoreUnavailable as error:
            detail = f"The model is trained and kept; publishing waits: {error}"
            await self._runs.report(new.training_run_id, self._owner, {"detail": detail[:1000]})
            logger.warning("Training %s: %s", new.training_run_id, detail)
            raise
        except PyMongoError:
            raise
        except Exception as error:  # a second attempt would fail as well
            logger.exception("Training %s: its model cannot be published", new.training_run_id)
            detail = f"The model cannot be published: {type(error).__name__}: {error}"
            await self._runs.finish(new.training_run_id, self._owner, TrainingState.FAILED, detail[:4000])
        await self._outbox.remove(artifact_id)

    async def _publish_for(self, run: TrainingRun, new: NewVersion, files: Mapping[str, bytes]) -> None:
        version = await self._registry.find_by_artifact(new.artifact_key)
        if version is None:
            if run.cancel_requested:
                await self._finish(run, TrainingState.CANCELLED, "cancelled on request")
                raise Superseded("its training was cancelled")
            await self._write(new.artifact_key, files)
            version = await self._register(run, new)
        if version.promotion is None:
            version = await self._promote(run, version, files)
        promotion = version.promotion
        assert promotion is not None, "it was stored a moment ago"
        result = TrainingResult(
            artifact_key=version.artifact_key,
            model=version.name,
            version=version.version,
            promotion=promotion,
            hyperparameters=version.hyperparameters,
            validation=version.validation,
        )
        serves = "serves" if promotion.promoted else "is kept, but does not serve"
        detail = f"Version {version.version} of {version.name} {serves}: {promotion.reason}"
        await self._finish(run, TrainingState.SUCCEEDED, detail, result)
        logger.info("Training %s: %s", run.id, detail)

    async def _write(self, key: str, files: Mapping[str, bytes]) -> None:
        try:
            await self._store.write(key, files)
        except ArtifactExists:
            # From an attempt that was cut short after the rename. Nobody else writes this key.
            try:
                verify(key, await self._store.read(key), describe(files))
            except (ArtifactDamaged, ArtifactNotFound):
                await self._store.delete(key)
                await self._store.write(key, files)

    async def _register(self, run: TrainingRun, new: NewVersion) -> ModelVersion:
        async def fence(session: AsyncClientSession) -> None:
            if not await self._runs.check_publishing(run.id, new.artifact_id, session):
                raise Superseded(f"training {run.id} goes on without it")

        # Where the files are now: they may have been kept before the store was replaced.
        stored = new.model_copy(update={"store": self._store.identity})
        return await self._registry.register(stored, fence)

    async def _promote(
        self, run: TrainingRun, version: ModelVersion, files: Mapping[str, bytes]
    ) -> ModelVersion:
        while True:
            async with self._heartbeats(run):
                promotion = await self._gate.judge(version, files)
            if await self._registry.record_promotion(version.name, version.version, promotion):
                self._instruments.count_promotion(promotion.promoted)
                return version.model_copy(update={"promotion": promotion})
            logger.info("The champion of %s changed meanwhile; compared again", version.name)

    def _heartbeats(self, run: TrainingRun) -> AbstractAsyncContextManager[None]:
        """Signs of life of a run that this service has, while something takes long."""

        async def beat() -> None:
            await self._runs.report(run.id, self._owner, {})

        pause_seconds = self._heartbeat_seconds
        return running([Loop(f"heartbeats of {run.id}", beat, pause_seconds, pause_seconds)])

    async def _finish(
        self, run: TrainingRun, state: TrainingState, detail: str, result: TrainingResult | None = None
    ) -> None:
        await self._runs.finish(run.id, self._owner, state, detail, result)


def new_version(run: TrainingRun, files: Mapping[str, bytes], **fields: object) -> NewVersion:
    """What a training made, as it will be registered."""
    assert run.artifact_id is not None, "every claimed run has one"
    return NewVersion.model_validate(
        {
            "kind": run.model_name,
            "system_name": run.system_name,
            "algorithm_name": run.algorithm_name,
            "experiment_name": run.experiment_name,
            "training_run_id": run.id,
            "artifact_id": run.artifact_id,
            "files": published_files(files),
            **fields,
        }
    )
