"""How reported events change an application execution and its jobs; pure.

What is said of a report, that it is stored, repeated or late, holds once its changes are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pydantic import BaseModel

from common.errors import PayloadTooLarge
from common.executions.contradictions import ends_contradiction, noted_after_end
from common.executions.documents import ApplicationExecution, ApplicationState, JobExecution
from common.executions.driver_starts import end_fields, end_of, first_job_fields, start_fields, takes_charge
from common.executions.drivers import DriverEnd, DriverStart, RefusedReport
from common.executions.ends import end_after_job, reported_end
from common.executions.merging import NOTHING_TOLD, application_fields, lost_reports, merge_job, new_job
from common.executions.reports.refusals import without
from common.instruments import LATE_AFTER_END, LATE_ATTEMPT, LATE_JOB, REPEATED, STORED
from common.mongo.large import encoded
from common.mongo.stored import UnreadableDocument
from common.wire.events import FEW_STAGES, MAX_STAGES, ApplicationEnded, ApplicationStarted, JobEnded

Json = dict[str, Any]

Event = ApplicationStarted | JobEnded | ApplicationEnded

JobKey = tuple[str, int]
"""Spark's application id, which every driver has its own of, and the job's."""

_JOB_BYTES = 15 * 1024 * 1024
"""MongoDB's limit is 16 MiB for a document, and there is an envelope around it."""

_LISTS: Mapping[str, type[BaseModel]] = {
    "driver_starts": DriverStart,
    "drivers_without_start": DriverStart,
    "driver_ends": DriverEnd,
    "refusals": RefusedReport,
}
"""Fields of an execution that hold documents."""

_STAGES_THAT_ALWAYS_FIT = 250
"""Their texts and parents at their longest included."""


@dataclass
class Job:
    """A job as it will be."""

    document: JobExecution
    is_stored: bool
    """Whether anything of it is: else all of it is to be written."""
    changes: Json = field(default_factory=dict)
    """Of what is stored."""
    _encoded: tuple[JobExecution, RawBSONDocument] | None = None
    """What was encoded last, and of what."""

    @property
    def is_large(self) -> bool:
        """Whether what is done about it takes longer than some milliseconds."""
        return len(self.document.stages) > FEW_STAGES

    def to_mongo(self) -> Mapping[str, Any]:
        """As it is stored; stages of a large one are encoded, one by one."""
        if not self.is_large:
            return self.document.to_mongo()
        if self._encoded is None or self._encoded[0] is not self.document:
            self._encoded = self.document, self._encode()
        return self._encoded[1]

    def _encode(self) -> RawBSONDocument:
        stages = {
            key: encoded(stage.to_mongo()) if stage else None for key, stage in self.document.stages.items()
        }
        rest = self.document.model_copy(update={"stages": {}}).to_mongo()
        return encoded({"_id": ObjectId(), **rest, "stages": stages})


class Run:
    """An application execution, and those of its jobs that reports are of.

    Args:
        execution: As it is stored.
        jobs: Those that are stored among the jobs that reports are of, or why they cannot be read.
        latest_jobs: By driver the job that ended last, of drivers that may take charge.
    """

    def __init__(
        self,
        execution: ApplicationExecution,
        jobs: Mapping[JobKey, JobExecution | UnreadableDocument],
        latest_jobs: Mapping[str, JobExecution],
    ) -> None:
        self.execution = execution
        """As it is once everything that was taken is stored."""
        self.changes: Json = {}
        """Of the execution: only what differs from what is stored."""
        self.job_changes = 0
        """How many reports have changed a job."""
        self.jobs = {
            key: Job(job, is_stored=True) for key, job in jobs.items() if isinstance(job, JobExecution)
        }
        self.signatures: list[tuple[str, str]] = []
        """Drivers, with the names that all of their stored jobs get."""
        self._unreadable = {key: job for key, job in jobs.items() if isinstance(job, UnreadableDocument)}
        self._latest_jobs = latest_jobs

    def is_large(self, event: Event) -> bool:
        """Whether taking a report takes longer than some milliseconds."""
        if not isinstance(event, JobEnded):
            return False
        stored = self.jobs.get((event.application_id, event.job_id))
        return len(event.stages) > FEW_STAGES or (stored is not None and stored.is_large)

    def take(self, event: Event) -> str:
        """Returns what became of the report, as `/metrics` calls it. What fails changes nothing.

        Raises:
            PayloadTooLarge: With it the job is larger than a document may be.
            UnreadableDocument: The job is stored, and this version does not understand it.
        """
        if isinstance(event, ApplicationStarted):
            return self._take_start(event)
        if isinstance(event, ApplicationEnded):
            return self._take_end(event)
        return self._take_job(event)

    def _take_start(self, event: ApplicationStarted) -> str:
        execution = self.execution
        in_charge = takes_charge(execution, event) and not _is_after_end(execution, event)
        fields = start_fields(execution, event)
        if in_charge:
            fields |= application_fields(event)
            if event.application_id != execution.application_id:
                fields |= NOTHING_TOLD
                fields |= self._latest_job_of(event.application_id)
                if execution.end_time_inferred:  # from jobs of the driver before
                    last = fields.get("last_job_end_time")
                    fields |= {"end_time": last, "end_time_inferred": last is not None}
        changes = changed(execution, fields)
        if changes:
            changes |= noted_after_end(execution, event)
        result = _result(execution, bool(changes))
        if result == STORED and not in_charge:
            result = LATE_ATTEMPT
        self._change(changes)
        self._change(changed(self.execution, without(self.execution, event)))
        if in_charge and event.application_id != execution.application_id:
            self._remember_end(event)
        if event.application_signature is not None:
            self._sign(event.application_id, event.application_signature)
        return result

    def _take_job(self, event: JobEnded) -> str:
        execution = self.execution
        key = event.application_id, event.job_id
        if key in self._unreadable:
            raise self._unreadable[key]
        same_application = execution.application_id in (None, event.application_id)
        before = self.jobs.get(key)
        if before is None:
            signature = execution.application_signature if same_application else None
            job = Job(new_job(event, execution, signature), is_stored=False)
            is_new = True
        else:
            document = merge_job(before.document, event)
            changes = _changed_job(before.document, document)
            job = Job(document, before.is_stored, before.changes | changes)
            is_new = bool(changes)
        _check_size(job)
        result = _result(execution, is_new, event)
        fields: Json = {}
        if same_application:  # else of a driver that another one has replaced, or will
            fields["application_id"] = event.application_id
            end = job.document.end_time
            if _is_latest(job.document, execution):
                fields |= _latest(job.document) | end_after_job(execution, end)
            fields |= lost_reports(execution, event)
        fields |= first_job_fields(execution, event) | without(execution, event)
        if is_new:
            fields |= noted_after_end(execution, event)
        self._change(changed(execution, fields))
        self.job_changes += is_new
        self.jobs[key] = job
        return result

    def _take_end(self, event: ApplicationEnded) -> str:
        """The end of a driver that is not in charge says nothing about that of the application, but it may
        be in charge once its start is known."""
        execution = self.execution
        fields = end_fields(execution, event) | ends_contradiction(execution, event)
        fields |= without(execution, event)
        in_charge = execution.application_id in (None, event.application_id)
        if in_charge:
            fields |= reported_end(execution, event.end_time) | lost_reports(execution, event)
            fields["application_id"] = event.application_id
            if event.ended_jobs is not None:
                fields["ended_jobs"] = event.ended_jobs
        changes = changed(execution, fields)
        self._change(changes)
        if not changes:
            return REPEATED
        return STORED if in_charge else LATE_ATTEMPT

    def _remember_end(self, event: ApplicationStarted) -> None:
        """Of a driver that takes charge: its end may have overtaken its start."""
        told = end_of(self.execution, event.application_id)
        if told is None or told.end_time < event.start_time:
            return
        fields = reported_end(self.execution, told.end_time) | {"ended_jobs": told.ended_jobs}
        self._change(changed(self.execution, fields))

    def _change(self, changes: Json) -> None:
        if not changes:
            return
        self.changes |= changes
        values = dict(changes)
        for name, kind in _LISTS.items():
            if name in values:
                values[name] = [kind.model_validate(each) for each in values[name]]
        self.execution = self.execution.model_copy(update=values)

    def _sign(self, application_id: str, signature: str) -> None:
        self.signatures.append((application_id, signature))
        for (driver, _), job in self.jobs.items():
            if driver == application_id and job.document.application_signature != signature:
                job.document = job.document.model_copy(update={"application_signature": signature})

    def _latest_job_of(self, application_id: str) -> Json:
        """Of a driver that takes charge: its jobs may have overtaken its start."""
        known = [job.document for (driver, _), job in self.jobs.items() if driver == application_id]
        stored = self._latest_jobs.get(application_id)
        if stored is not None and (application_id, stored.job_id) not in self.jobs:
            known.append(stored)
        if not known:  # what is stored is of the driver before, whose jobs are none of this one's
            return {"last_job_id": None, "last_job_end_time": None}
        return _latest(max(known, key=lambda job: (job.end_time, job.job_id)))


def reported_jobs(events: Iterable[Event]) -> dict[str, list[int]]:
    """Drivers, with the ids of jobs that are reported of them: what a `Run` has to know of what is stored."""
    found: dict[str, set[int]] = {}
    for event in events:
        if isinstance(event, JobEnded):
            found.setdefault(event.application_id, set()).add(event.job_id)
    return {driver: sorted(job_ids) for driver, job_ids in found.items()}


def drivers_to_look_up(execution: ApplicationExecution, events: Iterable[Event]) -> set[str]:
    """Drivers that may take charge, and whose latest job a `Run` has to know then."""
    starting = {event.application_id for event in events if isinstance(event, ApplicationStarted)}
    return starting if len(starting) > 1 else starting - {execution.application_id or ""}


def _is_after_end(execution: ApplicationExecution, event: ApplicationStarted) -> bool:
    """Whether a driver has started only after the end: what has ended is not its run.

    Where the submission failed, nothing else has run: it is the one that was submitted.
    """
    if not execution.state.is_final or execution.state is ApplicationState.SUBMISSION_FAILED:
        return False
    ended_at = execution.platform_end_time or execution.ended_or_noticed_at
    return ended_at is not None and event.start_time > ended_at


def _is_latest(job: JobExecution, execution: ApplicationExecution) -> bool:
    """Whether no job of the driver in charge has ended later; in one millisecond, the last one has."""
    ended_at, job_id = execution.last_job_end_time, execution.last_job_id
    return ended_at is None or (job.end_time, job.job_id) >= (ended_at, -1 if job_id is None else job_id)


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


def _check_size(job: Job) -> None:
    """Raises PayloadTooLarge where MongoDB would refuse the document, after seconds and several tries."""
    count, job_id = len(job.document.stages), job.document.job_id
    if count > MAX_STAGES:
        raise PayloadTooLarge(f"Job {job_id} would have {count} stages; at most {MAX_STAGES} are stored.")
    if count > _STAGES_THAT_ALWAYS_FIT:
        document = job.to_mongo()
        size = len(document.raw if isinstance(document, RawBSONDocument) else bson.encode(document))
        if size > _JOB_BYTES:
            raise PayloadTooLarge(f"Job {job_id} with all its stages is larger than {_JOB_BYTES} bytes.")


def _changed_job(before: JobExecution, after: JobExecution) -> Json:
    """Changed fields and, one by one, changed stages: a job's stages as a whole may be megabytes."""
    fields = {name: value for name, value in after if name != "stages" and value != getattr(before, name)}
    changes = {name: _plain(value) for name, value in fields.items()}
    changed_stages = {
        stage_id: stage.model_dump() if stage else None
        for stage_id, stage in after.stages.items()
        if stage_id not in before.stages or before.stages[stage_id] != stage
    }
    are_many = len(changed_stages) > FEW_STAGES
    for stage_id, values in changed_stages.items():
        changes[f"stages.{stage_id}"] = encoded(values) if values and are_many else values
    return changes


def changed(document: ApplicationExecution, fields: Mapping[str, Any]) -> Json:
    """Those of `fields`, by their names and as they are stored, that differ from the document's."""
    return {name: value for name, value in fields.items() if _plain(getattr(document, name)) != value}


def _plain(value: Any) -> Any:
    """As it is stored."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
