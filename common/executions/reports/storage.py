"""Batches of reports in MongoDB: each is one transaction, however many runs the reports are of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pymongo
from pymongo import DESCENDING, AsyncMongoClient, InsertOne, UpdateMany, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError

from common.beside import beside
from common.errors import ApplicationExecutionNotFound, ServiceError
from common.executions.documents import ApplicationExecution, JobExecution
from common.executions.reports.changes import Event, JobKey, Run, drivers_to_look_up, reported_jobs
from common.executions.run_history import JOB_CHANGES
from common.mongo.collection import DocumentCollection
from common.mongo.large import LargeReader
from common.mongo.stored import UnreadableDocument
from common.mongo.transactions import in_transaction, timeout_seconds

Json = dict[str, Any]
Argument = TypeVar("Argument")
Result = TypeVar("Result")
_Write = InsertOne[Any] | UpdateOne | UpdateMany

_DUPLICATE_KEY = 11000

_MOST_REMEMBERED = 256
"""Executions; one with its manifest is some ten kilobytes."""


@dataclass(frozen=True)
class Report:
    """An event of an application execution."""

    application_execution_id: str
    event: Event


@dataclass(frozen=True)
class Stored:
    """What became of a report."""

    result: str
    """As `/metrics` calls it."""
    execution: ApplicationExecution
    """As it is stored with the report."""


Outcome = Stored | Exception
"""A report that fails changes nothing of what is stored, or nobody knows."""


@dataclass(frozen=True)
class _Read:
    """A run, and the document that its execution was read from."""

    document: Json
    run: Run


class _Recent:
    """Executions as they were stored last: to read one takes longer than to see that it is still the same."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Json, ApplicationExecution]] = {}

    def find(self, document: Json) -> ApplicationExecution | None:
        """What the document says, if it is known; another replica may have changed it since."""
        known, execution = self._known.get(document["_id"], (None, None))
        return execution if known == document else None

    def remember(self, read: _Read) -> None:
        """Once what was read is changed, and that is stored."""
        execution = read.run.execution
        self._known.pop(execution.id, None)
        known = {**read.document, **read.run.changes}
        if read.run.job_changes:
            known[JOB_CHANGES] = known.get(JOB_CHANGES, 0) + read.run.job_changes
        self._known[execution.id] = known, execution
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]


class ReportStorage:
    """Writes only what reports change; the same report twice writes nothing."""

    def __init__(
        self,
        client: AsyncMongoClient[Json],
        applications: DocumentCollection[ApplicationExecution],
        jobs: DocumentCollection[JobExecution],
    ) -> None:
        self._client = client
        self._applications, self._jobs = applications, jobs
        self._large_jobs = LargeReader(JobExecution, jobs.stored)
        self._recent = _Recent()

    async def store(self, reports: Sequence[Report]) -> list[Outcome]:
        """Store reports, those of one run in their order; one outcome for each.

        A report that cannot be stored fails alone, for whatever reason. Where MongoDB does not answer,
        all do: nothing of them is stored, or the outcome is unknown.
        """
        with pymongo.timeout(timeout_seconds(self._client)):
            return await self._store(reports)

    async def _store(self, reports: Sequence[Report]) -> list[Outcome]:
        async def work(session: AsyncClientSession) -> tuple[list[Outcome], Mapping[str, _Read]]:
            return await self._work(reports, session)

        try:
            outcomes, runs = await in_transaction(self._client, work)
            for read in runs.values():
                self._recent.remember(read)
            return outcomes
        except Exception as error:
            if len(reports) == 1 or _is_of_all(error):
                return [error for _ in reports]
        # One of them is what MongoDB, or its driver, refuses: halves of halves find out which.
        middle = len(reports) // 2
        return [*await self._store(reports[:middle]), *await self._store(reports[middle:])]

    async def _work(
        self, reports: Sequence[Report], session: AsyncClientSession
    ) -> tuple[list[Outcome], Mapping[str, _Read]]:
        of_runs: dict[str, list[Event]] = {}
        for report in reports:
            of_runs.setdefault(report.application_execution_id, []).append(report.event)
        read, failures = await self._read_runs(of_runs, session)
        outcomes: list[Outcome] = []
        for report in reports:
            name = report.application_execution_id
            try:
                if name not in read:
                    raise failures.get(name) or _not_found(name)
                run = read[name].run
                taken = await _in_thread(run.is_large(report.event), run.take, report.event)
                outcomes.append(Stored(taken, run.execution))
            except Exception as error:
                outcomes.append(error)
        runs = {name: each.run for name, each in read.items()}
        is_large = any(job.is_large for run in runs.values() for job in run.jobs.values())
        await _write(self._jobs.stored, await _in_thread(is_large, _writes_of_jobs, runs), session)
        await _write(self._applications.stored, _writes_of_runs(runs), session)
        return outcomes, read

    async def _read_runs(
        self, of_runs: Mapping[str, list[Event]], session: AsyncClientSession
    ) -> tuple[dict[str, _Read], Mapping[str, ServiceError]]:
        """What is stored, and why some cannot be read; what is in neither is not stored."""
        executions: dict[str, tuple[Json, ApplicationExecution]] = {}
        failures: dict[str, ServiceError] = {}
        async for document in self._applications.stored.find(
            {"_id": {"$in": list(of_runs)}}, session=session
        ):
            name = document["_id"]
            try:
                executions[name] = document, self._recent.find(document) or self._applications.one(document)
            except UnreadableDocument as error:
                failures[name] = error
        jobs = await self._read_jobs({name: of_runs[name] for name in executions}, session)
        latest: dict[str, dict[str, JobExecution]] = {}
        wanted = [
            {"application_execution_id": name, "application_id": driver}
            for name, (_, execution) in executions.items()
            for driver in drivers_to_look_up(execution, of_runs[name])
        ]
        for name, driver in await self._with_jobs(wanted, session):
            query = {"application_execution_id": name, "application_id": driver}
            found = self._large_jobs.find(query, session).sort("end_time", DESCENDING)
            for job in await self._large_jobs.page(found, 1):
                latest.setdefault(name, {})[driver] = job
        read = {
            name: _Read(document, Run(execution, jobs.get(name, {}), latest.get(name, {})))
            for name, (document, execution) in executions.items()
        }
        return read, failures

    async def _read_jobs(
        self, of_runs: Mapping[str, list[Event]], session: AsyncClientSession
    ) -> dict[str, dict[JobKey, JobExecution | UnreadableDocument]]:
        """By execution those that are stored among the reported ones."""
        wanted = [
            {"application_execution_id": name, "application_id": driver, "job_id": {"$in": job_ids}}
            for name, events in of_runs.items()
            for driver, job_ids in reported_jobs(events).items()
        ]
        found: dict[str, dict[JobKey, JobExecution | UnreadableDocument]] = {}
        if not wanted:
            return found
        async for document in self._large_jobs.find({"$or": wanted}, session):
            job: JobExecution | UnreadableDocument
            try:
                job = await self._large_jobs.take(document)
            except UnreadableDocument as error:
                job = error
            key = document["application_id"], document["job_id"]
            found.setdefault(document["application_execution_id"], {})[key] = job
        return found

    async def _with_jobs(self, wanted: list[Json], session: AsyncClientSession) -> list[tuple[str, str]]:
        """Those of the executions and drivers that jobs are stored of: of drivers that start, mostly none."""
        if not wanted:
            return []
        names = {"name": "$application_execution_id", "driver": "$application_id"}
        pipeline: list[Json] = [{"$match": {"$or": wanted}}, {"$group": {"_id": names}}]
        found = await self._jobs.stored.aggregate(pipeline, session=session)
        return [(each["_id"]["name"], each["_id"]["driver"]) async for each in found]


def _writes_of_jobs(runs: dict[str, Run]) -> list[_Write]:
    """Names that drivers give to what is stored come first: what is new has them already."""
    writes: list[_Write] = []
    for name, run in runs.items():
        for driver, signature in run.signatures:
            query = {
                "application_execution_id": name,
                "application_id": driver,
                "application_signature": {"$ne": signature},
            }
            writes.append(UpdateMany(query, {"$set": {"application_signature": signature}}))
    changes: list[_Write] = []
    for name, run in runs.items():
        for (driver, job_id), job in run.jobs.items():
            if not job.is_stored:
                changes.append(InsertOne(job.to_mongo()))
            elif job.changes:
                key = {"application_execution_id": name, "application_id": driver, "job_id": job_id}
                writes.append(UpdateOne(key, {"$set": job.changes}))
    return writes + changes


def _writes_of_runs(runs: dict[str, Run]) -> list[_Write]:
    writes: list[_Write] = []
    for name, run in runs.items():
        update: Json = {"$set": run.changes} if run.changes else {}
        if run.job_changes:
            update["$inc"] = {JOB_CHANGES: run.job_changes}
        if update:
            writes.append(UpdateOne({"_id": name}, update))
    return writes


async def _in_thread(is_large: bool, work: Callable[[Argument], Result], argument: Argument) -> Result:
    """Work in a thread where it is large: its Python lets the event loop go on."""
    return await beside(work, argument) if is_large else work(argument)


async def _write(
    collection: AsyncCollection[Json], writes: Sequence[_Write], session: AsyncClientSession
) -> None:
    if not writes:
        return
    try:
        await collection.bulk_write(writes, session=session)
    except BulkWriteError as error:
        # Another replica was first: a transaction that begins anew finds what it has stored.
        for each in (error.details or {}).get("writeErrors", []):
            if each.get("code") == _DUPLICATE_KEY:
                raise DuplicateKeyError(each.get("errmsg", ""), _DUPLICATE_KEY, each) from error
        raise


def _not_found(application_execution_id: str) -> ApplicationExecutionNotFound:
    return ApplicationExecutionNotFound(
        f"There is no application execution {application_execution_id[:100]!r}."
    )


def _is_of_all(error: Exception) -> bool:
    """Whether it says something of MongoDB, rather than of a report."""
    if not isinstance(error, PyMongoError):
        return False
    labels = ("TransientTransactionError", "UnknownTransactionCommitResult")
    return isinstance(error, ConnectionFailure) or error.timeout or any(map(error.has_error_label, labels))
