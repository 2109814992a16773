"""How a reported event changes the stored application execution and its jobs, inside a transaction.

What is said of a report, that it is stored, repeated or late, holds once the transaction is committed.
"""

from collections.abc import Mapping
from typing import Any

import bson
from pymongo import DESCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from common.errors import PayloadTooLarge
from common.executions.contradictions import noted_after_end
from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution
from common.executions.driver_starts import start_fields, takes_charge
from common.executions.ends import end_after_job, reported_end
from common.executions.merging import NOTHING_TOLD, application_fields, lost_reports, merge_job, new_job
from common.instruments import LATE_AFTER_END, LATE_ATTEMPT, LATE_JOB, REPEATED, STORED
from common.mongo.stored import Reader
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded

Json = dict[str, Any]

_JOB_BYTES = 15 * 1024 * 1024
"""MongoDB's limit is 16 MiB for a document, and there is an envelope around it."""

_STAGES_THAT_ALWAYS_FIT = 250
"""Their texts and parents at their longest included."""


class EventStorage:
    """Writes only what an event changes; the same event twice writes nothing."""

    def __init__(self, applications: AsyncCollection[Json], jobs: AsyncCollection[Json]) -> None:
        self._applications = applications
        self._jobs = jobs
        self._read_job = Reader(JobExecution, jobs)

    async def store_start(
        self, execution: ApplicationExecution, event: ApplicationStarted, session: AsyncClientSession
    ) -> str:
        """Returns what became of the report, as `/metrics` calls it."""
        in_charge = takes_charge(execution, event) and not _is_after_end(execution, event)
        fields = start_fields(execution, event)
        if in_charge:
            fields |= application_fields(event)
            if event.application_id != execution.application_id:
                fields |= NOTHING_TOLD
                fields |= await self._latest_job_of(event.application_id, execution, session)
                if execution.end_time_inferred:  # from jobs of the driver before
                    last = fields.get("last_job_end_time")
                    fields |= {"end_time": last, "end_time_inferred": last is not None}
        changes = _changed(execution, fields)
        if changes:
            changes |= noted_after_end(execution, event)
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        result = _result(execution, bool(changes))
        if result == STORED and not in_charge:
            result = LATE_ATTEMPT
        if event.application_signature is None:
            return result
        await self._jobs.update_many(
            {
                "application_execution_id": execution.id,
                "application_id": event.application_id,
                "application_signature": {"$ne": event.application_signature},
            },
            {"$set": {"application_signature": event.application_signature}},
            session=session,
        )
        return result

    async def store_job(
        self, execution: ApplicationExecution, event: JobEnded, session: AsyncClientSession
    ) -> str:
        """Returns what became of the report, as `/metrics` calls it."""
        key = {
            "application_execution_id": execution.id,
            "application_id": event.application_id,
            "job_id": event.job_id,
        }
        stored = await self._jobs.find_one(key, session=session)
        same_application = execution.application_id in (None, event.application_id)
        is_new = stored is None
        if stored is None:
            job = new_job(event, execution, execution.application_signature if same_application else None)
            _check_size(job)
            await self._jobs.insert_one(job.to_mongo(), session=session)
        else:
            before = self._read_job.one(stored)
            job = merge_job(before, event)
            _check_size(job)
            if changes := _changed_job(before, job):
                is_new = True
                await self._jobs.update_one(key, {"$set": changes}, session=session)
        result = _result(execution, is_new, event)
        fields: Json = {}
        if same_application:  # else of a driver that another one has replaced, or will
            fields["application_id"] = event.application_id
            if execution.last_job_end_time is None or job.end_time >= execution.last_job_end_time:
                fields |= _latest(job) | end_after_job(execution, job.end_time)
            fields |= lost_reports(execution, event)
        if is_new:
            fields |= noted_after_end(execution, event)
        if changes := _changed(execution, fields):
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        return result

    async def store_end(
        self, execution: ApplicationExecution, event: ApplicationEnded, session: AsyncClientSession
    ) -> str:
        """Returns what became of the report, as `/metrics` calls it.

        The end of a driver that is not in charge says nothing about that of the application.
        """
        if execution.application_id not in (None, event.application_id):
            return LATE_ATTEMPT
        fields = reported_end(execution, event.end_time) | lost_reports(execution, event)
        fields["application_id"] = event.application_id
        if event.ended_jobs is not None:
            fields["ended_jobs"] = event.ended_jobs
        changes = _changed(execution, fields)
        if changes:
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        return STORED if changes else REPEATED

    async def _latest_job_of(
        self, application_id: str, execution: ApplicationExecution, session: AsyncClientSession
    ) -> Json:
        """Of a driver whose jobs have overtaken its start; empty where there is none."""
        query = {"application_execution_id": execution.id, "application_id": application_id}
        found = self._jobs.find(query, session=session).sort("end_time", DESCENDING)
        jobs = await self._read_job.page(found, 1)
        return _latest(jobs[0]) if jobs else {}


def _is_after_end(execution: ApplicationExecution, event: ApplicationStarted) -> bool:
    """Whether a driver has started only after the end: what has ended is not its run.

    Where the submission failed, nothing else has run: it is the one that was submitted.
    """
    if not execution.state.is_final or execution.state is ApplicationState.SUBMISSION_FAILED:
        return False
    ended_at = execution.platform_end_time or execution.ended_or_noticed_at
    return ended_at is not None and event.start_time > ended_at


def _latest(job: JobExecution) -> Json:
    fields: Json = {"last_job_id": job.job_id, "last_job_end_time": job.end_time}
    return fields if job.end_scale_out is None else {**fields, "end_scale_out": job.end_scale_out}


def _result(execution: ApplicationExecution, is_new: bool, job: JobEnded | None = None) -> str:
    """As far as it is known for sure.

    Args:
        execution: As it was before the report.
        is_new: Whether the report said anything that was not stored already.
    """
    if not is_new:
        return REPEATED
    if execution.state.is_final:
        return LATE_AFTER_END
    if job is None:
        return STORED
    if job.application_id != execution.application_id:
        # A job that has overtaken its own attempt's start is of another application, too.
        started_at = execution.start_time
        return LATE_ATTEMPT if started_at is not None and job.end_time < started_at else STORED
    ended_at = execution.last_job_end_time
    return LATE_JOB if ended_at is not None and job.end_time < ended_at else STORED


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
