"""Makes a version answer: its files here, its replicas up, asked by a probe; and ends it again."""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError

from common.errors import Forbidden
from common.models.versions import ModelVersion
from prediction.inference.engine.deployment import Deployment, Loaded
from prediction.inference.engine.engine import Engine
from prediction.inference.engine.failures import EngineUnavailable, LoadFailed
from prediction.inference.queue.batching import Batcher, BatchLimits
from prediction.inference.queue.breaker import Breaker
from prediction.inference.served.checking import check_answers
from prediction.inference.served.documents import ServingOptions
from prediction.inference.served.entries import Hold
from prediction.inference.served.files import LocalFiles
from prediction.inference.served.kinds import (
    PYTHON,
    Answering,
    VersionNotLoaded,
    check_found,
    how_it_answers,
)
from prediction.inference.served.leases import Leases

logger = logging.getLogger(__name__)

_LANES_PER_REPLICA = 2
"""Batches on their way: while one is computed, the next one lies ready."""

_MARGIN_SECONDS = 1.0


@dataclass
class LoadedVersion:
    """A version that answers."""

    version: ModelVersion
    answering: Answering
    deployment: Deployment
    batcher: Batcher
    patience_seconds: float
    """For which whoever has asked it may still wait, under any options that it was asked with."""
    hold: Hold
    """Of its files."""
    _askers: int = 0
    _is_free: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.contextmanager
    def being_asked(self) -> Iterator[None]:
        """While somebody has something to ask it: so long it stays."""
        self._askers += 1
        self._is_free.clear()
        try:
            yield
        finally:
            self._askers -= 1
            if not self._askers:
                self._is_free.set()

    async def is_through(self) -> None:
        """Return once nobody asks it any more."""
        if self._askers:
            await self._is_free.wait()
        await self.batcher.close()


class Loading:
    """Of one service."""

    def __init__(
        self,
        engine: Engine,
        files: LocalFiles,
        leases: Leases | None,
        *,
        python_is_allowed: bool,
    ) -> None:
        """Args:
        leases: Where others use the engine, too.
        """
        self._engine = engine
        self._files = files
        self._leases = leases
        self._python_is_allowed = python_is_allowed
        self._loaded: dict[str, LoadedVersion] = {}
        self._on_their_way: set[str] = set()
        self._changes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By deployment: what ends under a name is gone before it is loaded again."""
        self._ending: set[asyncio.Task[None]] = set()
        self._renewed_at: float | None = None
        self._leases_known_since: float | None = None
        self.lease_problem = ""
        """Why others may take what is loaded for unused; empty: they do not."""

    @property
    def loaded(self) -> list[LoadedVersion]:
        """What is in memory now, until it is gone."""
        return list(self._loaded.values())

    async def load(self, version: ModelVersion, options: ServingOptions) -> LoadedVersion:
        """A version that answers, as these options say; whoever is cancelled leaves nothing behind.

        Raises:
            VersionNotServable, Forbidden: It cannot, must not, or answers otherwise than it says.
            VersionNotLoaded: It was tried, and why it does not.
            ArtifactDamaged, StoreUnavailable, NotFound, Unavailable: Not now.
        """
        answering = how_it_answers(version)
        if answering.kind == PYTHON and not self._python_is_allowed:
            raise Forbidden(
                f"{version.id} answers by a prediction file, and such run as the service's own user: once"
                " access is by tokens, only where SERVING_PYTHON=true says so. ONNX models need no code."
            )
        hold = Hold()
        try:
            deployment = await self._deployment(version, answering, options, hold)
            async with self._changes[deployment.name], self._being_loaded(deployment.name):
                loaded = await self._run(deployment)
                check_found(version, answering, loaded.found)
                batcher = Batcher(version.id, self._asking(deployment), _limits(options), Breaker())
                try:
                    await check_answers(version, answering, batcher, options.time_limit_seconds)
                except BaseException:
                    self._in_background(batcher.close(), f"rows of {deployment.name} are given up")
                    raise
                entry = LoadedVersion(version, answering, deployment, batcher, _patience(options), hold)
                self._loaded[deployment.name] = entry
                return entry
        except BaseException:
            hold.release()
            raise

    async def _deployment(
        self, version: ModelVersion, answering: Answering, options: ServingOptions, hold: Hold
    ) -> Deployment:
        folder = await self._files.version(version, hold)
        environment_id = version.program.environment_id if version.program is not None else None
        environment = None
        if answering.kind == PYTHON and environment_id is not None:
            environment = await self._files.environment(environment_id, hold)
        return Deployment(
            name=_name(version, options),
            kind=answering.kind,
            folder=folder,
            file=answering.file,
            plan=answering.declaration.plan(),
            environment=environment,
            replicas=options.replicas,
            memory_limit_bytes=options.memory_limit_bytes,
            threads=options.threads or max(1, (os.cpu_count() or 1) // options.replicas),
            load_seconds=options.load_limit_seconds,
        )

    async def _run(self, deployment: Deployment) -> Loaded:
        try:
            return await self._engine.load(deployment)
        except (LoadFailed, EngineUnavailable) as error:
            raise VersionNotLoaded(str(error)) from error

    @contextlib.asynccontextmanager
    async def _being_loaded(self, name: str) -> AsyncIterator[None]:
        """Others know that it is used; where it does not come to answer, it ends."""
        self._on_their_way.add(name)
        try:
            if self._leases is not None:
                await self._leases.renew([name])
            yield
        except BaseException:
            self._in_background(self._end(name), f"{name} is given up")
            raise
        finally:
            self._on_their_way.discard(name)

    def _in_background(self, ending: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(ending, name=name)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def is_as(self, loaded: LoadedVersion, options: ServingOptions) -> bool:
        """Whether it is loaded as options say; otherwise they need it to be loaded anew."""
        return loaded.deployment.name == _name(loaded.version, options)

    def take_over(self, loaded: LoadedVersion, options: ServingOptions) -> None:
        """Let options hold from now on that need nothing to be loaded anew: limits of batches and of time."""
        loaded.batcher.limits = _limits(options)
        loaded.patience_seconds = max(loaded.patience_seconds, _patience(options))

    async def unload(self, loaded: LoadedVersion) -> None:
        """End it once what waits for it is answered, or when nobody can wait for an answer any more."""
        try:
            async with asyncio.timeout(loaded.patience_seconds):
                await loaded.is_through()
        except TimeoutError:
            logger.warning("%s: ended while questions waited", loaded.version.id)
        try:
            await self._end(loaded.deployment.name, loaded)
        finally:
            loaded.hold.release()

    async def close(self) -> None:
        """Wait until what was given up has ended."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _end(self, name: str, loaded: LoadedVersion | None = None) -> None:
        """End a deployment, unless it answers: as after a roll-back, under the same name."""
        async with self._changes[name]:
            if self._loaded.get(name) is not loaded:
                return
            try:
                if self._leases is None or await self._leases.give_up(name):
                    await self._engine.unload(name)
                else:
                    self._engine.forget(name)
            except PyMongoError as error:
                self._engine.forget(name)
                logger.warning("%s stays loaded for others, if there are any: %s", name, error)
            except EngineUnavailable as error:
                logger.warning("%s: %s", name, error)
            finally:
                self._loaded.pop(name, None)

    async def renew_leases(self) -> None:
        """Say of what is loaded that it is used; it answers also while that fails. Raises PyMongoError."""
        names = {*self._loaded, *self._on_their_way}
        clock = asyncio.get_running_loop().time
        if self._renewed_at is None:
            self._renewed_at = clock()
        if self._leases is None:
            return
        try:
            await self._leases.renew(names)
        except PyMongoError as error:
            if clock() - self._renewed_at >= self._leases.seconds and not self.lease_problem:
                self.lease_problem = (
                    f"its lease has run out, since the database does not answer ({str(error)[:200]}): another"
                    " service may end it, and it is loaded again then"
                )
                logger.error("Leases of %s have run out: %s", ", ".join(sorted(names)), error)
            self._leases_known_since = None
            raise
        self._renewed_at, self.lease_problem = clock(), ""

    async def end_abandoned(self) -> None:
        """End what services have left on a shared cluster that died without an end. Raises PyMongoError.

        Only where the engine runs anyhow, and once leases can be renewed again for as long as they last:
        after the database was away, those of whoever is there have run out, too.
        """
        if self._leases is None or not self._engine.state.is_running:
            return
        clock = asyncio.get_running_loop().time
        try:
            abandoned = await self._leases.abandoned()
        except PyMongoError:
            self._leases_known_since = None
            raise
        if self._leases_known_since is None:
            self._leases_known_since = clock()
        if not abandoned or clock() - self._leases_known_since < self._leases.seconds:
            return
        try:
            present = await self._engine.deployments()
            await self._end_each(present.keys() & set(abandoned), self._leases)
        except EngineUnavailable as error:
            logger.warning("What died services have left stays for now: %s", error)

    async def _end_each(self, abandoned: Iterable[str], leases: Leases) -> None:
        for name in abandoned:
            async with self._changes[name]:
                if name in self._loaded or name in self._on_their_way or await leases.is_used(name):
                    continue
                logger.warning("%s ends: whoever used it has not said so for long", name)
                await self._engine.unload(name)
                await leases.forget(name)

    def _asking(self, deployment: Deployment) -> Callable[[bytes, float], Awaitable[bytes]]:
        async def ask(frame: bytes, seconds: float) -> bytes:
            try:
                return await self._engine.ask(deployment.name, frame, seconds)
            except EngineUnavailable:
                await self._engine.bring_back(deployment.name)
                raise

        return ask


def _patience(options: ServingOptions) -> float:
    return options.time_limit_seconds + _MARGIN_SECONDS


def _limits(options: ServingOptions) -> BatchLimits:
    return BatchLimits(
        most_rows=options.max_batch_rows,
        wait_seconds=options.batch_wait_milliseconds / 1000,
        at_once=_LANES_PER_REPLICA * options.replicas,
        compute_seconds=options.time_limit_seconds,
    )


def _name(version: ModelVersion, options: ServingOptions) -> str:
    """What is loaded is called by what it is: the same in all services, another one after each change."""
    made_of = [
        version.id,
        version.artifact_key,
        options.replicas,
        options.threads,
        options.memory_limit_bytes,
        options.load_limit_seconds,
    ]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", version.name)[:60].strip("-")
    return f"{readable}-{version.version}-{digest}"
