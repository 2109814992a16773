"""Attempts of a run's driver, as far as their reported jobs tell of them; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common.executions.documents import JobSummary

_MOST = 100


@dataclass(frozen=True)
class DriverAttempt:
    """One driver of an application execution: Spark gives each an application id of its own."""

    application_id: str
    jobs: int
    """That have finished."""
    first_job_at: datetime | None
    """When the first of them began; None: none of them said so."""
    last_job_at: datetime
    """When the last of them ended."""


def driver_attempts(jobs: Iterable[JobSummary]) -> list[DriverAttempt]:
    """Drivers of a run that reported jobs, the first one first; a hundred at most.

    Args:
        jobs: Of all drivers.
    """
    of_driver: dict[str, list[JobSummary]] = {}
    for job in jobs:
        if job.application_id is not None:
            of_driver.setdefault(job.application_id, []).append(job)
    found = [
        DriverAttempt(
            application_id,
            len(ended),
            min((job.start_time for job in ended if job.start_time is not None), default=None),
            max(job.end_time for job in ended),
        )
        for application_id, ended in of_driver.items()
    ]
    return sorted(found, key=lambda attempt: attempt.last_job_at)[:_MOST]
