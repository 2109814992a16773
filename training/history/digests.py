"""Digests of finished runs: what forecasts by history read of them, stored once and kept in memory.

A digest holds as long as its run is what it was made of, which the execution itself says (`RunVersion`):
a late report makes it stale, and whoever asks next makes it anew. Several services may make the same one.
"""

import asyncio
import contextlib
import contextvars
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence

from pydantic import Field
from pymongo.errors import DuplicateKeyError

from common.beside import beside
from common.executions.gaps import Numbering, are_complete, numbering_of
from common.executions.run_history import FURTHER_RUNS, RunFound, RunHistory, RunVersion
from common.mongo.collection import DocumentCollection
from common.mongo.document import Document, UtcTime, utc_now
from common.mongo.types import Client
from training.history.condensed import FORMAT, History, condensed, packed
from training.history.from_documents import to_run_record

_MADE_AT_ONCE = 2
"""Each of them may hold all jobs of a run."""

_UNREADABLE_SECONDS = 60.0
"""After which a run that could not be read is read again: somebody may have mended it."""

_MOST_KEPT = 20_000
_KEPT_BYTES = 64 * 1024 * 1024
"""In memory, of all applications."""

_DIGEST_BYTES = 1024
"""In memory, about, beside the run itself and the ids of its jobs."""


class RunDigest(Document):
    """What is kept of a run."""

    id: str = Field(alias="_id")
    """Of the application execution."""
    format: int
    """Of the run; one of another format is made anew."""
    fingerprint: str
    """Of what it was made of."""
    made_at: UtcTime = Field(default_factory=utc_now)
    learnable: bool
    """Whether it has jobs, and none is known to be missing."""
    job_ids: list[tuple[int, int]] = Field(default_factory=list)
    """First and last of each row of them without a hole."""
    jobs_counted: bool = False
    """Whether the driver has told how many jobs it ended."""
    run: bytes = Field(default=b"", strict=True)
    """As `condensed.packed` has it; empty where nothing can be learned from it."""

    @property
    def numbering(self) -> Numbering:
        """Of its jobs."""
        return Numbering(tuple(self.job_ids), self.jobs_counted)

    @property
    def size_bytes(self) -> int:
        """In memory, about."""
        return _DIGEST_BYTES + len(self.run) + 128 * len(self.job_ids)


def digest_of(found: RunFound) -> RunDigest:
    """Digest of a run that can be read; pure, and some time's work for a large one."""
    jobs = found.jobs or ()
    numbering = numbering_of(found.execution, jobs)
    learnable = found.is_learnable
    return RunDigest(
        id=found.execution.id,
        format=FORMAT,
        fingerprint=found.version.fingerprint,
        learnable=learnable,
        job_ids=list(numbering.ranges) if learnable else [],
        jobs_counted=numbering.is_counted,
        run=packed(condensed(to_run_record(found.execution, jobs))) if learnable else b"",
    )


class _Kept:
    """Digests that were used last, as far as there is room; None: the run could not be read."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0
        self._known: OrderedDict[str, tuple[str, RunDigest | None, float]] = OrderedDict()

    def find(self, version: RunVersion) -> tuple[RunDigest | None] | None:
        """What is known of a run as it is stored; None: nothing is."""
        fingerprint, digest, kept_at = self._known.get(version.execution_id, ("", None, 0.0))
        is_old = digest is None and time.monotonic() - kept_at > _UNREADABLE_SECONDS
        if fingerprint != version.fingerprint or is_old:
            return None
        self._known.move_to_end(version.execution_id)
        return (digest,)

    def keep(self, version: RunVersion, digest: RunDigest | None) -> None:
        """Instead of what was known of that run."""
        self._drop(version.execution_id)
        self._known[version.execution_id] = version.fingerprint, digest, time.monotonic()
        self._bytes += _size(digest)
        while self._known and (len(self._known) > self._most or self._bytes > self._most_bytes):
            self._drop(next(iter(self._known)))

    def _drop(self, execution_id: str) -> None:
        if execution_id in self._known:
            self._bytes -= _size(self._known.pop(execution_id)[1])


def _size(digest: RunDigest | None) -> int:
    return digest.size_bytes if digest else _DIGEST_BYTES


class RunDigests:
    """Finds out which runs an application's history has, and makes digests that are missing or stale."""

    def __init__(
        self,
        client: Client,
        database: str,
        executions: RunHistory,
        *,
        most_kept: int = _MOST_KEPT,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        self._executions = executions
        self._digests = DocumentCollection(client, database, "run_digest", RunDigest)
        self._kept = _Kept(most_kept, kept_bytes)
        self._making: dict[str, asyncio.Task[RunDigest | None]] = {}
        self._turns = asyncio.Semaphore(_MADE_AT_ONCE)

    async def latest(self, system_name: str, algorithm_name: str, limit: int) -> History:
        """The most recent runs that completed and that can be learned from, as `finished_runs` says."""
        return history_of(await self._latest(system_name, algorithm_name, limit))

    async def latest_ids(self, system_name: str, algorithm_name: str, limit: int) -> list[str]:
        """Which runs these are, oldest first."""
        return [digest.id for digest in await self._latest(system_name, algorithm_name, limit)]

    async def _latest(self, system_name: str, algorithm_name: str, limit: int) -> list[RunDigest]:
        found: list[RunDigest] = []
        wanted, seen = limit, 0
        while True:
            versions = await self._executions.finished_versions(
                system_name, algorithm_name, skip=seen, limit=wanted
            )
            found += await self._of(versions)
            seen += len(versions)
            complete = are_complete([digest.numbering for digest in found])
            runs = [digest for digest, is_complete in zip(found, complete, strict=True) if is_complete]
            if len(versions) < wanted or len(runs) >= limit:
                return runs[:limit][::-1]
            wanted = max(limit - len(runs), FURTHER_RUNS)

    async def prepare(self, execution_id: str) -> None:
        """Have the digest of a run that has ended, so that no submission waits for it."""
        await asyncio.shield(self._make(execution_id))

    async def _of(self, versions: Sequence[RunVersion]) -> list[RunDigest]:
        """Of runs that can be learned from, in the same order."""
        known = {version.execution_id: self._kept.find(version) for version in versions}
        missing = [version for version in versions if known[version.execution_id] is None]
        if missing:
            stored = {digest.id: digest for digest in await self._stored(missing)}
            for version in missing:
                digest = stored.get(version.execution_id)
                if digest and digest.format == FORMAT and digest.fingerprint == version.fingerprint:
                    self._kept.keep(version, digest)
                    known[version.execution_id] = (digest,)
        stale = [version.execution_id for version in missing if known[version.execution_id] is None]
        made = await asyncio.gather(*(asyncio.shield(self._make(execution_id)) for execution_id in stale))
        known |= {execution_id: (digest,) for execution_id, digest in zip(stale, made, strict=True)}
        found = [each[0] for version in versions if (each := known[version.execution_id])]
        return [digest for digest in found if digest is not None and digest.learnable]

    async def _stored(self, versions: Sequence[RunVersion]) -> Sequence[RunDigest]:
        query = {"_id": {"$in": [version.execution_id for version in versions]}}
        return await self._digests.many(self._digests.stored.find(query))

    def _make(self, execution_id: str) -> asyncio.Task[RunDigest | None]:
        """Whoever needs it meanwhile waits for the same; it is made to the end, whoever goes."""
        if execution_id not in self._making:
            # Time limits of whoever came first are not those of others.
            task = asyncio.create_task(self._made(execution_id), context=contextvars.Context())
            self._making[execution_id] = task
            task.add_done_callback(lambda done: self._ended(execution_id, done))
        return self._making[execution_id]

    def _ended(self, execution_id: str, task: "asyncio.Task[RunDigest | None]") -> None:
        del self._making[execution_id]
        if not task.cancelled():
            task.exception()  # whoever waits has it, if anybody still does

    async def _made(self, execution_id: str) -> RunDigest | None:
        async with self._turns:
            found = await self._executions.find_run(execution_id)
            if found is None or found.jobs is None:
                if found is not None:
                    self._kept.keep(found.version, None)
                return None
            digest = await beside(digest_of, found)
            with contextlib.suppress(DuplicateKeyError):  # another service has stored it just now
                await self._digests.stored.replace_one({"_id": digest.id}, digest.to_mongo(), upsert=True)
            self._kept.keep(found.version, digest)
            return digest


def history_of(digests: Sequence[RunDigest]) -> History:
    """Of these runs, in this order."""
    said = sorted(f"{digest.id}:{digest.format}:{digest.fingerprint}" for digest in digests)
    key = hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()
    return History(key, tuple(digest.run for digest in digests))
