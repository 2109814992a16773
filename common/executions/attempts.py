"""Attempts of a run's driver, by the starts and the jobs that they reported; pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from common.attribute_docs import describe
from common.executions.documents import ApplicationExecution, JobSummary
from common.executions.driver_starts import known_starts
from common.executions.drivers import DriverEnd, DriverStart
from common.mongo.document import UtcTime
from common.wire.results import job_succeeded

_MOST = 100


class AttemptState(StrEnum):
    IN_CHARGE = "in_charge"
    """It started last, and the application goes on: decisions are for it."""
    LAST = "last"
    """It was in charge when the application ended."""
    REPLACED = "replaced"
    """Another driver started later."""
    BESIDE = "beside"
    """It is not in charge, has reported since the driver in charge started, and has not told of its end."""


@dataclass(frozen=True, config=ConfigDict(json_schema_extra=describe))
class DriverAttempt:
    """One driver of an application execution: Spark gives each an application id of its own."""

    application_id: str
    state: AttemptState
    attempt_id: int | None
    start_time: UtcTime | None
    """By its own report; null: none came."""
    end_time: UtcTime | None
    """Of its context, by its own report; null: none came."""
    start_scale_out: int | None
    jobs: int
    """That have ended."""
    failed_jobs: int
    first_job_at: UtcTime | None
    """When the first of them began; null: none of them said so."""
    last_job_at: UtcTime | None
    """When the last of them ended."""


def jobs_in_charge(execution: ApplicationExecution, jobs: Iterable[JobSummary]) -> list[JobSummary]:
    """Those of the driver in charge; all where it is not known which one that is."""
    return [job for job in jobs if execution.application_id in (None, job.application_id)]


def jobs_of_others(
    execution: ApplicationExecution, jobs: Iterable[JobSummary]
) -> dict[str, list[JobSummary]]:
    """Those of drivers that are not in charge, by their ids; a hundred drivers at most."""
    found: dict[str, list[JobSummary]] = {}
    for job in jobs:
        if execution.application_id not in (None, job.application_id) and job.application_id is not None:
            found.setdefault(job.application_id, []).append(job)
    return dict(list(found.items())[:_MOST])


def driver_attempts(execution: ApplicationExecution, jobs: Iterable[JobSummary]) -> list[DriverAttempt]:
    """Drivers of which anything was reported, the first one first; a hundred at most.

    Args:
        jobs: Of all drivers.
    """
    starts: dict[str, list[DriverStart | None]] = {}
    for start in known_starts(execution):
        starts.setdefault(start.application_id, []).append(start)
    of_driver: dict[str, list[JobSummary]] = {application_id: [] for application_id in starts}
    for job in jobs:
        if job.application_id is not None:
            of_driver.setdefault(job.application_id, []).append(job)
    found = [
        _attempt(execution, application_id, start, until, ended)
        for application_id, theirs in of_driver.items()
        for start, until, ended in _by_start(starts.get(application_id, [None]), theirs)
    ]
    return sorted(found, key=_began)[:_MOST]


def _by_start(
    starts: list[DriverStart | None], jobs: list[JobSummary]
) -> Iterable[tuple[DriverStart | None, datetime | None, list[JobSummary]]]:
    """Starts of one Spark id, each with the next one's time, and jobs that ended before; None: it is the
    latest."""
    for number, start in enumerate(starts, start=1):
        following = starts[number] if number < len(starts) else None
        until = following.start_time if following else None
        yield start, until, [job for job in jobs if until is None or job.end_time < until]
        jobs = [job for job in jobs if until is not None and job.end_time >= until]


def _attempt(
    execution: ApplicationExecution,
    application_id: str,
    start: DriverStart | None,
    until: datetime | None,
    jobs: list[JobSummary],
) -> DriverAttempt:
    last_job_at = max((job.end_time for job in jobs), default=None)
    reported = [at for at in (start.start_time if start else None, last_job_at) if at is not None]
    ended_at = _ended_at(execution.driver_ends, application_id, start, until)
    if until is not None:
        state = AttemptState.REPLACED
    elif application_id == execution.application_id:
        state = AttemptState.IN_CHARGE if execution.goes_on else AttemptState.LAST
    else:
        goes_on = execution.start_time is not None and max(reported) > execution.start_time
        is_beside = goes_on and (ended_at is None or ended_at < max(reported))
        state = AttemptState.BESIDE if is_beside else AttemptState.REPLACED
    return DriverAttempt(
        application_id=application_id,
        state=state,
        attempt_id=start.attempt_id if start else None,
        start_time=start.start_time if start else None,
        end_time=ended_at,
        start_scale_out=start.start_scale_out if start else None,
        jobs=len(jobs),
        failed_jobs=sum(job_succeeded(job.job_result) is False for job in jobs),
        first_job_at=min((job.start_time for job in jobs if job.start_time is not None), default=None),
        last_job_at=last_job_at,
    )


def _ended_at(
    ends: Iterable[DriverEnd], application_id: str, start: DriverStart | None, until: datetime | None
) -> datetime | None:
    """The first end between a start and the next one of the same Spark id."""
    told = [end.end_time for end in ends if end.application_id == application_id]
    since = start.start_time if start else None
    found = [at for at in told if (since is None or at >= since) and (until is None or at < until)]
    return min(found, default=None)


def _began(attempt: DriverAttempt) -> datetime:
    began = attempt.start_time or attempt.first_job_at or attempt.last_job_at
    assert began is not None, "something was reported of it"
    return began
