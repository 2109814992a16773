"""Application executions and their jobs in MongoDB: the queries of this domain, all of them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession

from common.errors import ApplicationExecutionNotFound
from common.executions.documents import (
    ApplicationExecution,
    ApplicationState,
    JobExecution,
    JobSummary,
    ScalingDecision,
    StateChange,
)
from common.executions.ends import change_of_state
from common.executions.filter import ExecutionFilter
from common.executions.held_names import FINAL_STATES, HeldNames, not_over
from common.executions.indexes import OF_APPLICATIONS, OF_DECISIONS, OF_JOBS
from common.executions.reports.changes import Event
from common.executions.reports.queue import ReportQueue
from common.executions.reports.refusals import RefusedReports
from common.executions.reports.storage import ReportStorage
from common.executions.run_history import RunHistory
from common.executions.summaries import SUMMARY, mean_scale_outs_of
from common.instruments import Instruments, unscraped
from common.mongo.collection import DocumentCollection, text
from common.mongo.document import utc_now
from common.mongo.large import LargeReader
from common.mongo.stored import Readable
from common.mongo.transactions import timeout_seconds
from common.mongo.unchanged import UnchangedReader

Json = dict[str, Any]

_OTHER_STATES = [state.value for state in ApplicationState if not state.is_final]


class ExecutionRepository(RunHistory, HeldNames, RefusedReports):
    """Application executions, job executions and scaling decisions.

    How long an operation waits for a MongoDB that does not answer is the client's `timeoutMS`.
    """

    def __init__(
        self, client: AsyncMongoClient[Json], database: str, instruments: Instruments | None = None
    ) -> None:
        self.database = database
        self._client = client
        self._instruments = instruments or unscraped()
        applications = DocumentCollection(
            client, database, "application_execution", ApplicationExecution, OF_APPLICATIONS
        )
        jobs = DocumentCollection(client, database, "job_execution", JobExecution, OF_JOBS)
        super().__init__(applications, jobs)
        self._read_decision = DocumentCollection(
            client, database, "scaling_decision", ScalingDecision, OF_DECISIONS
        )
        self._decisions = self._read_decision.stored
        storage = ReportStorage(client, applications, jobs)
        self._reports = ReportQueue(storage.store, timeout_seconds(client))
        self._unchanged_jobs = UnchangedReader(JobExecution, self._jobs)
        self._read_summary = LargeReader(JobSummary, self._jobs)

    async def create_indexes(self) -> None:
        """Raises StartError where an index that is there says something else."""
        collections = (self._read_job, self._read, self._read_decision)
        await asyncio.gather(*(each.create_indexes() for each in collections))

    # --- application executions ---------------------------------------------------------------

    async def insert(
        self, execution: ApplicationExecution, session: AsyncClientSession | None = None
    ) -> None:
        """Raises DuplicateKeyError where another one that has not ended holds its name."""
        await self._read.insert(execution, session)

    async def get(
        self, application_execution_id: str, session: AsyncClientSession | None = None
    ) -> ApplicationExecution:
        """Raises ApplicationExecutionNotFound or UnreadableDocument."""
        execution = await self._read.find(application_execution_id, session)
        if execution is None:
            raise ApplicationExecutionNotFound(
                f"There is no application execution {application_execution_id[:100]!r}."
            )
        return execution

    async def newest(
        self,
        wanted: ExecutionFilter | None = None,
        *,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> Readable[ApplicationExecution]:
        """Newest first, without manifests; `before` is the (created_at, id) of the last one already seen."""
        query = wanted.to_query() if wanted else {}
        return await self._read.newest(query, before=before, limit=limit, without=["manifests"])

    async def algorithms(self) -> list[str]:
        """Names of all that were ever submitted, in alphabetical order."""
        found = await self._applications.distinct(
            "global_specs.algorithm_name", {"global_specs.system_name": "spark"}
        )
        return sorted(str(name) for name in found)

    async def count_states(self) -> dict[str, int]:
        """How many there are in each state."""
        return await self._read.count_states()

    async def find_scheduled(self, schedule_name: str, due_at: datetime) -> str | None:
        """Id of the execution that was started for a due time; one that no platform took does not count."""
        query = {
            "schedule_name": text(schedule_name),
            "scheduled_for": due_at,
            "state": {"$ne": ApplicationState.SUBMISSION_FAILED.value},
        }
        document = await self._applications.find_one(query, {"_id": 1})
        return document["_id"] if document else None

    async def unfinished(
        self, runner: str, state: ApplicationState | None = None
    ) -> Readable[ApplicationExecution]:
        """Executions of one runner in this state, or in any that is not final, oldest first.

        Not those in a state that only another version knows: it may be final.
        """
        query = {"runner": runner, "state": state.value if state else {"$in": _OTHER_STATES}}
        cursor = self._applications.find(query).sort("created_at", ASCENDING)
        return await self._read.many(cursor)

    async def ended_at(self, application_execution_id: str) -> datetime | None:
        """When it ended, or that was noticed; None: it has not, or there is none of this id."""
        query = {"_id": application_execution_id, "state": {"$in": FINAL_STATES}}
        said = {"platform_end_time": 1, "end_noticed_at": 1, "end_time": 1}
        document = await self._applications.find_one(query, {**said, "state_changes": {"$slice": -1}})
        if document is None:
            return None
        [*_, last] = document.get("state_changes") or [{}]
        found = [document.get(name) for name in said]  # not what a driver goes on reporting
        return next((moment for moment in [*found, last.get("at")] if moment), None)

    async def record_kill_request(self, application_execution_id: str, requested_by: str) -> None:
        """Store who asked first for the end of an execution that has not ended, or whose driver reports."""
        query = {"_id": application_execution_id, "kill_requested_by": None, **not_over()}
        request = {"kill_requested_by": requested_by, "kill_requested_at": utc_now()}
        await self._applications.update_one(query, {"$set": request})

    async def record_state(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        at: datetime | None = None,
        fields: Mapping[str, Any] | None = None,
        only_from: Collection[ApplicationState] | None = None,
        version: int | None = None,
    ) -> bool:
        """Store a state change with its time; a final state is never left again.

        Args:
            fields: Further top-level fields to set in the same write. Of a final state, `end_time` is when
                the platform says it was; without it the end of the last reported job stands for it, if any.
            only_from: Present states in which the change applies; None: all that are not final.
            version: Of the resource whose state this is; nothing older than what is stored applies.
        Returns:
            Whether the change was stored (false: already in this or in a final state).
        """
        now = utc_now()
        change = StateChange(state=state, at=at or now, reason=reason)
        values = dict(fields or {})
        states: Json = {"$nin": [*FINAL_STATES, state.value]}
        if only_from is not None:
            states["$in"] = [each.value for each in only_from]
        query: Json = {"_id": application_execution_id, "state": states}
        if version is not None:
            query["resource_version"] = {"$not": {"$gte": version}}
            values["resource_version"] = version
        result = await self._applications.update_one(query, change_of_state(change, values, now))
        return result.modified_count == 1

    async def forget_version(self, application_execution_id: str, version: int) -> None:
        """Let any version of the resource apply from now on, where this one is still the stored one."""
        query = {"_id": application_execution_id, "resource_version": version}
        await self._applications.update_one(query, {"$unset": {"resource_version": ""}})

    async def unmeasured(self, ended_before: datetime, limit: int) -> Readable[ApplicationExecution]:
        """Ended ones of which it was not looked yet how they and their forecasts went, without manifests."""
        query = {
            "accuracy_measured": False,
            "state": {"$in": FINAL_STATES},
            "$or": [
                {"end_time": {"$lt": ended_before}, "end_noticed_at": None},
                {"end_noticed_at": {"$lt": ended_before}},
            ],
        }
        return await self._read.page(self._applications.find(query, {"manifests": 0}), limit)

    async def record_measured(self, application_execution_id: str) -> bool:
        """`unmeasured` leaves it out from now on; returns whether nobody has recorded that before."""
        query = {"_id": application_execution_id, "accuracy_measured": False}
        result = await self._applications.update_one(query, {"$set": {"accuracy_measured": True}})
        return result.modified_count == 1

    async def note(
        self,
        application_execution_id: str,
        fields: Mapping[str, Any],
        *,
        only_in: ApplicationState | None = None,
    ) -> None:
        """Set fields of an execution that has not ended, or is in this state."""
        state = only_in.value if only_in else {"$nin": FINAL_STATES}
        query = {"_id": application_execution_id, "state": state}
        await self._applications.update_one(query, {"$set": dict(fields)})

    # --- events ---------------------------------------------------------------------------------

    async def apply_event(self, application_execution_id: str, event: Event) -> ApplicationExecution:
        """Store what a listener reported; the same event twice changes nothing. Returns what is stored then.

        Reports that wait are stored together; whatever becomes of others, this one is stored or fails alone.

        Raises:
            ApplicationExecutionNotFound: Nothing is stored.
            Unavailable: Too many reports wait; nothing is stored.
            pymongo.errors.PyMongoError: Nothing is stored, or the outcome is unknown; sending the
                event again is safe.
        """
        return await self.apply_events(application_execution_id, [event])

    async def apply_events(
        self, application_execution_id: str, events: Sequence[Event]
    ) -> ApplicationExecution:
        """The same for some, in this order; where one of them fails, others may be stored all the same.

        Raises:
            As `apply_event`, for the first one that failed.
        """
        stored = await self._reports.add(application_execution_id, events)
        for event, each in zip(events, stored, strict=True):
            self._instruments.reports.labels(event.name, each.result).inc()
        execution = stored[-1].execution
        await self._hold_again(execution)
        return execution

    # --- jobs -----------------------------------------------------------------------

    async def finished_jobs(
        self,
        application_execution_id: str,
        application_id: str | None = None,
        *,
        after_job_id: int = -1,
        limit: int = 0,
    ) -> Readable[JobExecution]:
        """Jobs of one run in order of their ids; of one driver attempt, where that is given.

        Args:
            limit: Most jobs to return; 0 for all.
        """
        query: Json = {"application_execution_id": application_execution_id}
        if after_job_id >= 0:
            query["job_id"] = {"$gt": after_job_id}
        if application_id is not None:
            query["application_id"] = application_id
        cursor = self._large_jobs.find(query).sort("job_id", ASCENDING)
        return await self._large_jobs.page(cursor, limit)

    async def jobs_so_far(self, application_execution_id: str, application_id: str) -> Readable[JobExecution]:
        """The same of a run in progress, asked for after each job; shared with others, not to be changed."""
        query = {"application_execution_id": application_execution_id, "application_id": application_id}
        return await self._unchanged_jobs.many(self._unchanged_jobs.find(query).sort("job_id", ASCENDING))

    async def job_summaries(
        self, application_execution_id: str, application_id: str | None = None
    ) -> Readable[JobSummary]:
        """The same jobs without what was measured of their stages, which the database leaves out."""
        query: Json = {"application_execution_id": application_execution_id}
        if application_id is not None:
            query["application_id"] = application_id
        pipeline: list[Json] = [{"$match": query}, {"$sort": {"job_id": 1}}, {"$project": SUMMARY}]
        return await self._read_summary.many(await self._read_summary.aggregate(pipeline))

    async def mean_scale_outs(self, application_execution_ids: Collection[str]) -> dict[str, float]:
        """Executors of each run, on average over the time of its jobs; runs without any are left out."""
        pipeline = mean_scale_outs_of(application_execution_ids)
        found = await self._jobs.aggregate(pipeline)
        return {str(run["_id"]): run["sum"] / run["weight"] async for run in found}

    # --- decisions ------------------------------------------------------------------------------

    async def insert_decision(
        self, decision: ScalingDecision, session: AsyncClientSession | None = None
    ) -> None:
        await self._decisions.insert_one(decision.to_mongo(), session=session)

    async def find_first_decision(self, application_execution_id: str) -> ScalingDecision | None:
        """The one made before the run; None also where it cannot be read."""
        document = await self._decisions.find_one(
            {"application_execution_id": application_execution_id, "job_id": -1}
        )
        return self._read_decision.maybe(document)

    async def find_decision(self, application_execution_id: str, decision_id: str) -> ScalingDecision | None:
        """With its candidates; None: the run has none of this id, or it cannot be read."""
        query = {"_id": decision_id, "application_execution_id": application_execution_id}
        return self._read_decision.maybe(await self._decisions.find_one(query))

    async def first_decisions(self, application_execution_ids: Collection[str]) -> dict[str, ScalingDecision]:
        """The choices before these runs, with their candidates; those that cannot be read are left out."""
        query: Json = {"application_execution_id": {"$in": list(application_execution_ids)}, "job_id": -1}
        found = await self._read_decision.many(self._decisions.find(query))
        return {decision.application_execution_id: decision for decision in found}

    async def find_latest_decision(
        self, application_execution_id: str, application_id: str | None = None
    ) -> ScalingDecision | None:
        """The last one that can be read, without its candidates: of the run, or else the one before it.

        The one before the run may be of another service, whose clock is ahead.

        Args:
            application_id: Leaves out what was decided for other drivers; None: for any.
        """
        of_run: Json = {"application_execution_id": application_execution_id}
        if application_id is not None:  # versions before this one did not say for which
            of_run["application_id"] = {"$in": [application_id, None]}
        for job_id in ({"$gte": 0}, -1):
            found = self._decisions.find({**of_run, "job_id": job_id}, {"candidates": 0})
            latest = await self._read_decision.page(found.sort("decided_at", DESCENDING), 1)
            if latest:
                return latest[0]
        return None

    async def latest_decisions(
        self, application_execution_ids: Collection[str]
    ) -> dict[str, ScalingDecision]:
        """The last one of each run with its candidates; runs without one that can be read are left out."""
        pipeline: list[Json] = [
            {"$match": {"application_execution_id": {"$in": list(application_execution_ids)}}},
            {"$sort": {"application_execution_id": 1, "decided_at": 1}},
            {"$group": {"_id": "$application_execution_id", "latest": {"$last": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$latest"}},
        ]
        found = await self._read_decision.many(await self._decisions.aggregate(pipeline))
        return {decision.application_execution_id: decision for decision in found}

    async def decisions(
        self,
        application_execution_id: str,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int = 0,
        fields: Json | None = None,
    ) -> Readable[ScalingDecision]:
        """In the order in which they were made.

        Args:
            after: The (decided_at, id) of the last one already seen.
            limit: Most decisions to return; 0 for all.
            fields: What is read of them, as a projection; None: everything.
        """
        query: Json = {"application_execution_id": application_execution_id}
        if after is not None:
            decided_at, last_id = after
            query["$or"] = [
                {"decided_at": {"$gt": decided_at}},
                {"decided_at": decided_at, "_id": {"$gt": last_id}},
            ]
        cursor = self._decisions.find(query, fields)
        cursor = cursor.sort([("decided_at", ASCENDING), ("_id", ASCENDING)])
        return await self._read_decision.page(cursor, limit)
