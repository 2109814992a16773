"""What the service does by itself from time to time, on APScheduler's clock."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from pymongo.errors import PyMongoError

from common.documents import utc_now
from common.errors import ServiceError
from training.schedules import PeriodicTrainings

logger = logging.getLogger(__name__)

_FIRST_COLLECTION = timedelta(seconds=30)
"""After the start, when publications that were cut short have been finished."""

_COLLECTION_SECONDS = 3600


@contextmanager
def run_chores(
    periodic_trainings: PeriodicTrainings,
    collect_garbage: Callable[[], Awaitable[list[str]]],
    tick_seconds: float,
) -> Iterator[None]:
    """Look for due trainings, and collect garbage, until the context ends."""

    async def collect() -> None:
        try:
            await collect_garbage()
        except (ServiceError, PyMongoError) as error:
            logger.warning("Garbage is collected later: %s", error)

    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it reports every tick
    if periodic_trainings.configured:
        scheduler.add_job(periodic_trainings.tick, "interval", seconds=tick_seconds)
    scheduler.add_job(
        collect, "interval", seconds=_COLLECTION_SECONDS, next_run_time=utc_now() + _FIRST_COLLECTION
    )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)
