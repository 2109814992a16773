"""Reports that the service has refused: the run says so, and not only the log of its driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import ValidationError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from common.errors import ServiceError
from common.executions.documents import ApplicationExecution
from common.executions.drivers import RefusedReport
from common.mongo.document import utc_now
from common.wire.events import ApplicationEnded, ApplicationStarted, JobEnded, UpdateInformation

Json = dict[str, Any]

MOST_REFUSALS = 100
"""Of an execution; whatever is refused beyond is counted by the driver alone."""

_LONGEST_REASON = 500

_COMES_AGAIN = (404, 408, 429)
"""Answers of which a driver tries the same again, or that are about no run."""


class RefusedReports:
    """Reports that were refused, and not stored since."""

    _applications: AsyncCollection[Json]
    _jobs: AsyncCollection[Json]

    async def note_refused(self, application_execution_id: str, refused: RefusedReport) -> None:
        """Have the run say it; not where the same is stored, or was refused before."""
        key = {name: getattr(refused, name) for name in ("update_event", "application_id", "job_id")}
        if refused.job_id is not None:
            job = {"application_execution_id": application_execution_id, "job_id": refused.job_id}
            if refused.application_id is not None:
                job["application_id"] = refused.application_id
            if await self._jobs.find_one(job, {"_id": 1}) is not None:
                return
        query = {
            "_id": application_execution_id,
            "refusals": {"$not": {"$elemMatch": key}},
            f"refusals.{MOST_REFUSALS - 1}": {"$exists": False},
        }
        await self._applications.update_one(query, {"$push": {"refusals": refused.model_dump()}})


@asynccontextmanager
async def refusal_noted(notes: RefusedReports, report: UpdateInformation) -> AsyncIterator[None]:
    """Storing a report of somebody who may send it: where it is refused for good, the run says so."""
    try:
        yield
    except (ValidationError, ServiceError) as error:
        if (reason := _why_refused(error)) is not None:
            with suppress(PyMongoError, ServiceError):  # what is wrong with it is the answer all the same
                await notes.note_refused(report.application_execution_id, _refused(report, reason))
        raise


def without(execution: ApplicationExecution, event: ApplicationStarted | JobEnded | ApplicationEnded) -> Json:
    """What the list of refusals becomes once an event is stored after all; empty where it is not in it."""
    job_id = event.job_id if isinstance(event, JobEnded) else None
    left = [
        each
        for each in execution.refusals
        if (each.update_event, each.job_id) != (event.name, job_id)
        or each.application_id not in (None, event.application_id)
    ]
    if len(left) == len(execution.refusals):
        return {}
    return {"refusals": [each.model_dump() for each in left]}


def _refused(report: UpdateInformation, reason: str) -> RefusedReport:
    said = report.updates.get("application_id")
    return RefusedReport(
        at=utc_now(),
        update_event=report.update_event,
        application_id=report.application_id or (said if isinstance(said, str) and said else None),
        job_id=report.job_id if report.update_event == JobEnded.name else None,
        reason=reason[:_LONGEST_REASON].encode("utf-8", "replace").decode(),
    )


def _why_refused(error: ValidationError | ServiceError) -> str | None:
    """None: it was not, or comes again."""
    if isinstance(error, ServiceError):
        return str(error) if 400 <= error.status < 500 and error.status not in _COMES_AGAIN else None
    [first, *_] = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part)[:64] for part in ("updates", *first["loc"]))
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
