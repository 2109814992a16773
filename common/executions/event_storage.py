"""How a reported event changes the stored application execution and its jobs, inside a transaction.

What is said of a report, that it is stored, repeated or late, holds once the transaction is committed.
"""

from collections.abc import Mapping
from typing import Any

import bson
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from common.errors import PayloadTooLarge
from common.executions.documents import ApplicationExecution, JobExecution
from common.executions.merging import application_fields, merge_job, new_job
from common.instruments import LATE_AFTER_END, LATE_ATTEMPT, LATE_JOB, REPEATED, STORED
from common.mongo.stored import Reader
from common.wire.events import ApplicationStarted, JobEnded

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
        if execution.start_time is not None and event.start_time < execution.start_time:
            return LATE_ATTEMPT  # a later attempt of the driver has reported already
        changes = _changed(execution, application_fields(event))
        if changes:
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        result = _result(execution, bool(changes))
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
        if not same_application:
            return result  # from an attempt of the driver that another one has replaced, or will
        fields: Json = {"application_id": event.application_id}
        if execution.last_job_end_time is None or job.end_time >= execution.last_job_end_time:
            fields |= {"last_job_id": job.job_id, "last_job_end_time": job.end_time}
            if job.end_scale_out is not None:
                fields["end_scale_out"] = job.end_scale_out
        if changes := _changed(execution, fields):
            await self._applications.update_one({"_id": execution.id}, {"$set": changes}, session=session)
        return result


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
