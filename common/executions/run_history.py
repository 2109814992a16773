"""Finished runs with their jobs: what can be learned from."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
import pymongo
from pymongo import ASCENDING, DESCENDING

from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution
from common.executions.gaps import without_gaps
from common.mongo.collection import DocumentCollection, text
from common.mongo.large import LargeReader
from common.mongo.stored import UnreadableDocument

Json = dict[str, Any]

FURTHER_RUNS = 20
"""Read at once in place of runs that nothing can be learned from."""

_LOOKED_AT = 100
"""Of an algorithm's runs, to see whether it has a history: of many programs no Spark job is ever reported."""

_HISTORY_SECONDS = 60.0
"""Reading many runs takes longer than other operations."""

JOB_CHANGES = "job_changes"
"""Of a stored execution: how often anything of its jobs was stored. What was made of them is stale then."""

_SAID = (
    "application_id",
    "start_time",
    "start_scale_out",
    "initial_scale_out",
    "end_time",
    "end_time_inferred",
    "platform_end_time",
    "ended_jobs",
    "refused_reports",
    "dropped_reports",
    "last_job_id",
    "last_job_end_time",
    JOB_CHANGES,
)
"""What changes of an execution, as far as its history is concerned; specs never do."""

_SELDOM = ("refusals", "drivers_without_start")
"""The same, of executions of which reports are missing: most have neither."""


@dataclass(frozen=True)
class RunVersion:
    """A run as it is stored at one time."""

    execution_id: str
    fingerprint: str
    """Of what is stored of it and of its jobs: it is another one once anything of that has changed."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "RunVersion":
        """Of an execution as it is stored, or those fields of it that change."""
        changing = {name: document.get(name) for name in _SAID}
        seldom = {name: document[name] for name in _SELDOM if document.get(name)}
        said = bson.encode({**changing, **seldom})
        return cls(document["_id"], hashlib.blake2b(said, digest_size=12).hexdigest())


@dataclass(frozen=True)
class RunFound:
    """A run that was read to learn from it."""

    version: RunVersion
    """Not later than what was read."""
    execution: ApplicationExecution
    jobs: Sequence[JobExecution] | None
    """Of the driver in charge; None: one of them cannot be read."""

    @property
    def is_learnable(self) -> bool:
        """Whether there are jobs, and none is known to be missing."""
        return bool(self.jobs) and not _lacks_any(self.execution, len(self.jobs or ()))


class RunHistory:
    """Queries over application executions and their jobs."""

    def __init__(
        self, applications: DocumentCollection[ApplicationExecution], jobs: DocumentCollection[JobExecution]
    ) -> None:
        self._read, self._applications = applications, applications.stored
        self._read_job, self._jobs = jobs, jobs.stored
        self._large_jobs = LargeReader(JobExecution, jobs.stored)

    async def finished_runs(
        self, system_name: str, algorithm_name: str, limit: int
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        """The most recent runs that completed, oldest first, each with its jobs.

        Failed and killed runs are left out: their runtimes are not those of the application. So are
        runs of which a job cannot be read, or was never reported: what is left would look like a faster run.
        Where the driver has not told how many jobs it ended, ids that it left out count as such jobs.
        """
        with pymongo.timeout(_HISTORY_SECONDS):
            return await self._finished_runs(system_name, algorithm_name, limit)

    async def _finished_runs(
        self, system_name: str, algorithm_name: str, limit: int
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        query = _history_query(system_name, algorithm_name)
        cursor = self._applications.find(query, {"manifests": 0}).sort("created_at", DESCENDING)
        found: list[tuple[ApplicationExecution, Sequence[JobExecution]]] = []
        wanted, seen = limit, 0
        while True:
            part = await self._read.page(cursor, wanted, skip=seen)
            found += await self._with_jobs(part)
            seen += part.seen
            runs = without_gaps(found)
            if len(part) < wanted or len(runs) >= limit:
                return runs[:limit][::-1]
            wanted = max(limit - len(runs), FURTHER_RUNS)

    async def runs_by_id(
        self, execution_ids: Sequence[str]
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        """These runs with their jobs, in this order; unknown ids and runs without jobs are left out."""
        with pymongo.timeout(_HISTORY_SECONDS):
            cursor = self._applications.find({"_id": {"$in": list(execution_ids)}}, {"manifests": 0})
            found = {execution.id: execution for execution in await self._read.many(cursor)}
            return await self._with_jobs([found[name] for name in execution_ids if name in found])

    async def find_by_application_id(self, application_id: str) -> ApplicationExecution | None:
        """The oldest one of which a driver has reported, or an event log has, that it is this application."""
        said = text(application_id)
        document = await self._applications.find_one(
            {"$or": [{"application_id": said}, {"driver_starts.application_id": said}]},
            {"manifests": 0},
            sort=[("created_at", ASCENDING)],
        )
        return self._read.one(document) if document else None

    async def finished_versions(
        self, system_name: str, algorithm_name: str, *, skip: int, limit: int
    ) -> list[RunVersion]:
        """The most recent runs that completed, the latest first: which ones they are, and no more.

        Args:
            skip: How many are passed over.
        """
        query = _history_query(system_name, algorithm_name)
        fields = dict.fromkeys([*_SAID, *_SELDOM], 1)
        cursor = self._applications.find(query, fields).sort("created_at", DESCENDING)
        return [RunVersion.of(document) async for document in cursor.skip(skip).limit(limit)]

    async def find_run(self, execution_id: str) -> RunFound | None:
        """A run with its jobs; None where there is none of this id, or it cannot be read."""
        with pymongo.timeout(_HISTORY_SECONDS):
            document = await self._applications.find_one({"_id": execution_id}, {"manifests": 0})
            execution = self._read.maybe(document)
            if document is None or execution is None:
                return None
            jobs = await self._jobs_of([execution])
            return RunFound(RunVersion.of(document), execution, jobs[execution_id])

    async def _with_jobs(
        self, executions: Sequence[ApplicationExecution]
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        found = await self._jobs_of(executions)
        return [
            (execution, jobs)
            for execution in executions
            if (jobs := found[execution.id]) and not _lacks_any(execution, len(jobs))
        ]

    async def _jobs_of(
        self, executions: Sequence[ApplicationExecution]
    ) -> dict[str, list[JobExecution] | None]:
        """By run those of the driver in charge; None: one of them cannot be read."""
        jobs: dict[str, list[JobExecution]] = {execution.id: [] for execution in executions}
        owners = {execution.id: execution.application_id for execution in executions}
        query = {"application_execution_id": {"$in": list(jobs)}}
        incomplete: set[str] = set()
        async for document in self._large_jobs.find(query):  # no index has them in order: sorted below
            run_id = document["application_execution_id"]
            if document.get("application_id") != owners[run_id]:
                continue
            try:
                jobs[run_id].append(await self._large_jobs.take(document))
                await asyncio.sleep(0)  # a batch may hold thousands of them
            except UnreadableDocument:
                incomplete.add(run_id)
        for found in jobs.values():
            found.sort(key=lambda job: job.job_id)
        return {run_id: None if run_id in incomplete else found for run_id, found in jobs.items()}

    async def last_job_ends(self, execution_ids: Sequence[str]) -> dict[str, datetime | None]:
        """When the last job of each of these runs ended, as far as it was reported."""
        query = {"_id": {"$in": list(execution_ids)}}
        cursor = self._applications.find(query, {"last_job_end_time": 1})
        return {run["_id"]: _time(run.get("last_job_end_time")) async for run in cursor}

    async def has_history(self, system_name: str, algorithm_name: str) -> bool:
        """Whether any of the latest runs has reported its start and a job."""
        query = {"global_specs.system_name": system_name, "global_specs.algorithm_name": algorithm_name}
        said = ("last_job_id", "start_time")
        cursor = self._applications.find(query, dict.fromkeys(said, 1)).sort("created_at", DESCENDING)
        return any(
            [all(run.get(name) is not None for name in said) async for run in cursor.limit(_LOOKED_AT)]
        )


def _lacks_any(execution: ApplicationExecution, jobs: int) -> bool:
    """Whether reports are known to be missing, of the driver in charge or of one that may have followed."""
    return execution.has_unknown_driver or execution.missing_reports(jobs) > 0


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _history_query(system_name: str, algorithm_name: str) -> Json:
    return {
        "global_specs.system_name": system_name,
        "global_specs.algorithm_name": algorithm_name,
        "state": {"$in": [ApplicationState.COMPLETED.value, ApplicationState.NEW.value, None]},
        "last_job_id": {"$ne": None},
        "start_time": {"$ne": None},
        "refused_reports": {"$not": {"$gt": 0}},
        "dropped_reports": {"$not": {"$gt": 0}},
    }
