"""What the service does by itself from time to time, on APScheduler's clock."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from pymongo.errors import PyMongoError

from common.documents import utc_now
from common.errors import ServiceError
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.schedules import PeriodicTrainings

logger = logging.getLogger(__name__)

_FIRST_COLLECTION = timedelta(seconds=30)
"""After the start, when publications that were cut short have been finished."""

_COLLECTION_SECONDS = 3600

_SCHEDULE_SECONDS = 2
"""Between two looks at recurring submissions: what is due starts that late at most."""

_RECONCILE_SECONDS = 30


@contextmanager
def run_chores(
    periodic_trainings: PeriodicTrainings,
    collect_garbage: Callable[[], Awaitable[list[str]]],
    submissions: SubmissionService,
    submission_schedules: SubmissionSchedules,
    tick_seconds: float,
) -> Iterator[None]:
    """Look for what is due, take up what was left, and collect garbage, until the context ends."""

    async def collect() -> None:
        try:
            await collect_garbage()
        except (ServiceError, PyMongoError) as error:
            logger.warning("Garbage is collected later: %s", error)

    async def reconcile() -> None:
        try:
            await submissions.reconcile()
        except (ServiceError, PyMongoError) as error:
            logger.warning("Abandoned submissions are taken up later: %s", error)

    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it reports every tick
    if periodic_trainings.configured:
        scheduler.add_job(periodic_trainings.tick, "interval", seconds=tick_seconds)
    scheduler.add_job(
        collect, "interval", seconds=_COLLECTION_SECONDS, next_run_time=utc_now() + _FIRST_COLLECTION
    )
    scheduler.add_job(submission_schedules.tick, "interval", seconds=_SCHEDULE_SECONDS)
    scheduler.add_job(reconcile, "interval", seconds=_RECONCILE_SECONDS)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)
