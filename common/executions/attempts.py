"""Attempts of a run's driver, as far as their reported jobs tell of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

Json = dict[str, Any]


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


async def driver_attempts(
    jobs: AsyncCollection[Json], application_execution_id: str, most: int
) -> list[DriverAttempt]:
    """Drivers of a run that reported jobs, the first one first, at most `most`."""
    pipeline: list[Json] = [
        {
            "$match": {
                "application_execution_id": application_execution_id,
                "application_id": {"$type": "string"},
                "end_time": {"$type": "date"},
            }
        },
        {
            "$group": {
                "_id": "$application_id",
                "jobs": {"$sum": 1},
                "first": {
                    "$min": {"$cond": [{"$eq": [{"$type": "$start_time"}, "date"]}, "$start_time", None]}
                },
                "last": {"$max": "$end_time"},
            }
        },
        {"$sort": {"last": 1}},
        {"$limit": most},
    ]
    found = await jobs.aggregate(pipeline)
    return [DriverAttempt(each["_id"], each["jobs"], each["first"], each["last"]) async for each in found]
