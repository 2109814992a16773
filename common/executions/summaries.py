"""Jobs without what was measured of their stages, and means over jobs, as the database makes them."""

from collections.abc import Collection
from typing import Any

from common.executions.documents import JobSummary, StageSpan

Json = dict[str, Any]

_STAGES = {
    "$objectToArray": {"$cond": [{"$eq": [{"$type": "$stages"}, "object"]}, "$stages", {"$literal": {}}]}
}

SUMMARY: Json = {
    **{name: 1 for name in JobSummary.model_fields if name not in ("stages", "spans")},
    "stages": {"$size": _STAGES},
    "spans": {
        "$map": {
            "input": {"$filter": {"input": _STAGES, "cond": {"$eq": [{"$type": "$$this.v"}, "object"]}}},
            "in": {name: f"$$this.v.{name}" for name in StageSpan.model_fields},
        }
    },
}
"""Projection of a stored job to a `JobSummary`."""


def mean_scale_outs_of(application_execution_ids: Collection[str]) -> list[Json]:
    """Pipeline over jobs: of each run its id, a weighted sum of scale-outs, and the sum of the weights."""
    seconds: Json = {"$subtract": ["$end_time", "$start_time"]}  # in milliseconds, but only weights
    between: Json = {"$avg": ["$start_scale_out", "$end_scale_out"]}
    return [
        {
            "$match": {
                "application_execution_id": {"$in": list(application_execution_ids)},
                "start_time": {"$type": "date"},
                "end_time": {"$type": "date"},
            }
        },
        {"$project": {"of": "$application_execution_id", "weight": seconds, "executors": between}},
        {"$match": {"executors": {"$ne": None}, "weight": {"$gt": 0}}},
        {
            "$group": {
                "_id": "$of",
                "weight": {"$sum": "$weight"},
                "sum": {"$sum": {"$multiply": ["$weight", "$executors"]}},
            }
        },
    ]
