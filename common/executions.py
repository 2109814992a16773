"""Application executions and their jobs in MongoDB: the queries of this domain, all of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import bson
import pymongo
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from common.documents import (
    ApplicationExecution,
    ApplicationState,
    JobExecution,
    ScalingDecision,
    StateChange,
    utc_now,
)
from common.errors import ApplicationExecutionNotFound, PayloadTooLarge
from common.events import ApplicationStarted, JobEnded, merge_job
from common.transactions import DURABLE, in_transaction

_JOB_BYTES = 15 * 1024 * 1024
"""MongoDB's limit is 16 MiB for a document, and there is an envelope around it."""

_STAGES_THAT_ALWAYS_FIT = 250
"""Their texts and parents at their longest included."""

_HISTORY_SECONDS = 60.0
"""Reading many runs takes longer than other operations."""

Json = dict[str, Any]

_FINAL_STATES = [state.value for state in ApplicationState if state.is_final]


class ExecutionRepository:
    """Application executions, job executions and scaling decisions.

    How long an operation waits for a MongoDB that does not answer is the client's `timeoutMS`.
    """

    def __init__(self, client: AsyncMongoClient[Json], database: str) -> None:
        self._client = client
        self._database: AsyncDatabase[Json] = client.get_database(database, write_concern=DURABLE)
        self._applications = self._database["application_execution"]
        self._jobs = self._database["job_execution"]
        self._decisions = self._database["scaling_decision"]

    async def create_indexes(self) -> None:
        await self._jobs.create_index(
            [("application_execution_id", ASCENDING), ("application_id", ASCENDING), ("job_id", ASCENDING)],
            unique=True,
            name="one_job_once",
        )
        await self._applications.create_index(
            [
                ("global_specs.system_name", ASCENDING),
                ("global_specs.algorithm_name", ASCENDING),
                ("created_at", DESCENDING),
            ],
            name="history",
        )
        await self._applications.create_index(
            [("created_at", DESCENDING), ("_id", DESCENDING)], name="newest"
        )
        await self._applications.create_index([("state", ASCENDING)], name="state")
        await self._decisions.create_index(
            [("application_execution_id", ASCENDING), ("decided_at", ASCENDING)], name="of_execution"
        )

    # --- application executions ---------------------------------------------------------------

    async def insert(self, execution: ApplicationExecution) -> None:
        await self._applications.insert_one(execution.to_mongo())

    async def get(self, application_execution_id: str) -> ApplicationExecution:
        """Raises ApplicationExecutionNotFound."""
        document = await self._applications.find_one({"_id": application_execution_id})
        if document is None:
            raise ApplicationExecutionNotFound(
                f"There is no application execution {application_execution_id[:100]!r}."
            )
        return ApplicationExecution.from_mongo(document)

    async def newest(
        self,
        *,
        algorithm_name: str | None = None,
        experiment_name: str | None = None,
        state: ApplicationState | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[ApplicationExecution]:
        """Newest first; `before` is the (created_at, id) of the last one already seen."""
        query: Json = {}
        if algorithm_name is not None:
            query["global_specs.algorithm_name"] = algorithm_name
        if experiment_name is not None:
            query["global_specs.experiment_name"] = experiment_name
        if state is not None:
            query["state"] = state.value
        if before is not None:
            created_at, last_id = before
            query["$or"] = [
                {"created_at": {"$lt": created_at}},
                {"created_at": created_at, "_id": {"$lt": last_id}},
            ]
        order = [("created_at", DESCENDING), ("_id", DESCENDING)]
        cursor = self._applications.find(query, {"manifests": 0}).sort(order).limit(limit)
        return [ApplicationExecution.from_mongo(document) async for document in cursor]

    async def unfinished(self, runner: str) -> list[ApplicationExecution]:
        """Executions of one runner that have no final state, oldest first."""
        query = {"runner": runner, "state": {"$nin": _FINAL_STATES}}
        cursor = self._applications.find(query).sort("created_at", ASCENDING)
        return [ApplicationExecution.from_mongo(document) async for document in cursor]

    async def record_state(
        self,
        application_execution_id: str,
        state: ApplicationState,
        reason: str = "",
        *,
        at: datetime | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> bool:
        """Store a state change with its time; a final state is never left again.

        Args:
            fields: Further top-level fields to set in the same write, such as `end_time`.
        Returns:
            Whether the change was stored (false: already in this or in a final state).
        """
        change = StateChange(state=state, at=at or utc_now(), reason=reason)
        result = await self._applications.update_one(
            {"_id": application_execution_id, "state": {"$nin": [*_FINAL_STATES, state.value]}},
            {
                "$set": {"state": state.value, "state_reason": reason, **(fields or {})},
                "$push": {"state_changes": change.model_dump()},
            },
        )
        return result.modified_count == 1

    # --- events ---------------------------------------------------------------------------------

    async def apply_event(
        self, application_execution_id: str, event: ApplicationStarted | JobEnded
    ) -> ApplicationExecution:
        """Store what a listener reported, in one transaction; the same event twice changes nothing.

        Raises:
            ApplicationExecutionNotFound: Nothing is stored.
            pymongo.errors.PyMongoError: Nothing is stored, or the outcome is unknown; sending the
                event again is safe.
        """

        async def store(session: AsyncClientSession) -> ApplicationExecution:
            document = await self._applications.find_one({"_id": application_execution_id}, session=session)
            if document is None:
                raise ApplicationExecutionNotFound(
                    f"There is no application execution {application_execution_id!r}."
                )
            execution = ApplicationExecution.from_mongo(document)
            if isinstance(event, ApplicationStarted):
                await self._store_start(execution, event, session)
            else:
                await self._store_job(execution, event, session)
            stored = await self._applications.find_one({"_id": application_execution_id}, session=session)
            assert stored is not None, "read a moment ago in the same transaction"
            return ApplicationExecution.from_mongo(stored)

        return await in_transaction(self._client, store)

    async def _store_start(
        self, execution: ApplicationExecution, event: ApplicationStarted, session: AsyncClientSession
    ) -> None:
        if execution.start_time is not None and event.start_time < execution.start_time:
            return  # a later attempt of the driver has reported already
        changes = _changed(execution, event.application_fields())
        if changes:
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        if event.application_signature is None:
            return
        await self._jobs.update_many(
            {
                "application_execution_id": execution.id,
                "application_id": event.application_id,
                "application_signature": {"$ne": event.application_signature},
            },
            {"$set": {"application_signature": event.application_signature}},
            session=session,
        )

    async def _store_job(
        self, execution: ApplicationExecution, event: JobEnded, session: AsyncClientSession
    ) -> None:
        key = {
            "application_execution_id": execution.id,
            "application_id": event.application_id,
            "job_id": event.job_id,
        }
        stored = await self._jobs.find_one(key, session=session)
        same_application = execution.application_id in (None, event.application_id)
        if stored is None:
            job = event.to_job(execution, execution.application_signature if same_application else None)
            _check_size(job)
            await self._jobs.insert_one(job.to_mongo(), session=session)
        else:
            before = JobExecution.from_mongo(stored)
            job = merge_job(before, event)
            _check_size(job)
            if changes := _changed_job(before, job):
                await self._jobs.update_one(key, {"$set": changes}, session=session)
        if not same_application:
            return  # from an attempt of the driver that another one has replaced, or will
        fields: Json = {"application_id": event.application_id}
        if execution.last_job_end_time is None or job.end_time >= execution.last_job_end_time:
            fields |= {"last_job_id": job.job_id, "last_job_end_time": job.end_time}
            if job.end_scale_out is not None:
                fields["end_scale_out"] = job.end_scale_out
        if changes := _changed(execution, fields):
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)

    # --- jobs and history -----------------------------------------------------------------------

    async def finished_jobs(
        self,
        application_execution_id: str,
        application_id: str | None = None,
        *,
        after_job_id: int = -1,
        limit: int = 0,
    ) -> Sequence[JobExecution]:
        """Jobs of one run in order of their ids; of one driver attempt, where that is given.

        Args:
            limit: Most jobs to return; 0 for all.
        """
        query: Json = {"application_execution_id": application_execution_id}
        if after_job_id >= 0:
            query["job_id"] = {"$gt": after_job_id}
        if application_id is not None:
            query["application_id"] = application_id
        cursor = self._jobs.find(query).sort("job_id", ASCENDING).limit(limit)
        return [JobExecution.from_mongo(document) async for document in cursor]

    async def finished_runs(
        self, system_name: str, algorithm_name: str, limit: int
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        """The most recent runs that completed, oldest first, each with its jobs.

        Failed and killed runs are left out: their runtimes are not those of the application.
        """
        with pymongo.timeout(_HISTORY_SECONDS):
            return await self._finished_runs(system_name, algorithm_name, limit)

    async def _finished_runs(
        self, system_name: str, algorithm_name: str, limit: int
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        query = _history_query(system_name, algorithm_name)
        cursor = self._applications.find(query, {"manifests": 0}).sort("created_at", DESCENDING).limit(limit)
        executions = [ApplicationExecution.from_mongo(document) async for document in cursor]
        executions.reverse()
        return await self._with_jobs(executions)

    async def runs_by_id(
        self, execution_ids: Sequence[str]
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        """These runs with their jobs, in this order; unknown ids and runs without jobs are left out."""
        with pymongo.timeout(_HISTORY_SECONDS):
            cursor = self._applications.find({"_id": {"$in": list(execution_ids)}}, {"manifests": 0})
            found = {document["_id"]: ApplicationExecution.from_mongo(document) async for document in cursor}
            return await self._with_jobs([found[name] for name in execution_ids if name in found])

    async def _with_jobs(
        self, executions: Sequence[ApplicationExecution]
    ) -> Sequence[tuple[ApplicationExecution, Sequence[JobExecution]]]:
        jobs: dict[str, list[JobExecution]] = {execution.id: [] for execution in executions}
        owners = {execution.id: execution.application_id for execution in executions}
        found = self._jobs.find({"application_execution_id": {"$in": list(jobs)}}).sort("job_id", ASCENDING)
        async for document in found:
            job = JobExecution.from_mongo(document)
            if job.application_id == owners[job.application_execution_id]:
                jobs[job.application_execution_id].append(job)
        return [(execution, jobs[execution.id]) for execution in executions if jobs[execution.id]]

    async def finished_run_times(
        self, system_name: str, algorithm_name: str, limit: int
    ) -> dict[str, datetime | None]:
        """The runs that started last among those of `finished_runs`, each with the end of its last job."""
        cursor = self._applications.find(
            _history_query(system_name, algorithm_name), {"last_job_end_time": 1}
        ).sort("start_time", DESCENDING)
        return {document["_id"]: document.get("last_job_end_time") async for document in cursor.limit(limit)}

    async def algorithms_with_history(self) -> Sequence[tuple[str, str]]:
        """System and algorithm names of which a run can be learned from, sorted."""
        pipeline: list[Json] = [
            {"$match": {"last_job_id": {"$ne": None}, "start_time": {"$ne": None}}},
            {
                "$group": {
                    "_id": {
                        "system": "$global_specs.system_name",
                        "algorithm": "$global_specs.algorithm_name",
                    }
                }
            },
        ]
        found = await self._applications.aggregate(pipeline)
        return sorted([(entry["_id"]["system"], entry["_id"]["algorithm"]) async for entry in found])

    # --- decisions ------------------------------------------------------------------------------

    async def insert_decision(self, decision: ScalingDecision) -> None:
        await self._decisions.insert_one(decision.to_mongo())

    async def find_latest_decision(self, application_execution_id: str) -> ScalingDecision | None:
        """The one made last during the run, without its candidates."""
        document = await self._decisions.find_one(
            {"application_execution_id": application_execution_id, "job_id": {"$gte": 0}},
            {"candidates": 0},
            sort=[("decided_at", DESCENDING)],
        )
        return ScalingDecision.from_mongo(document) if document else None

    async def decisions(self, application_execution_id: str) -> list[ScalingDecision]:
        """In the order in which they were made."""
        cursor = self._decisions.find({"application_execution_id": application_execution_id})
        return [
            ScalingDecision.from_mongo(document)
            async for document in cursor.sort([("decided_at", pymongo.ASCENDING)])
        ]


def _history_query(system_name: str, algorithm_name: str) -> Json:
    return {
        "global_specs.system_name": system_name,
        "global_specs.algorithm_name": algorithm_name,
        "state": {"$in": [ApplicationState.COMPLETED.value, ApplicationState.NEW.value, None]},
        "last_job_id": {"$ne": None},
        "start_time": {"$ne": None},
    }


def _check_size(job: JobExecution) -> None:
    """Raises PayloadTooLarge where MongoDB would refuse the document, after seconds and several tries."""
    if len(job.stages) > _STAGES_THAT_ALWAYS_FIT and len(bson.encode(job.to_mongo())) > _JOB_BYTES:
        raise PayloadTooLarge(f"Job {job.job_id} with all its stages is larger than {_JOB_BYTES} bytes.")


def _changed_job(before: JobExecution, after: JobExecution) -> Json:
    """Changed fields and, one by one, changed stages: a job's stages as a whole may be megabytes."""
    changes = _changed(before, after.model_dump(exclude={"stages"}))
    for stage_id, stage in after.stages.items():
        if stage_id not in before.stages or before.stages[stage_id] != stage:
            changes[f"stages.{stage_id}"] = stage.model_dump() if stage else None
    return changes


def _changed(document: ApplicationExecution | JobExecution, fields: Mapping[str, Any]) -> Json:
    """Those of `fields` that differ from what is stored, so that a repeated event writes nothing."""
    present = document.model_dump()
    return {name: value for name, value in fields.items() if present.get(name) != value}
