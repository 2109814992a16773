"""Jobs and decisions without most of what is stored of them, and means over jobs: what MongoDB computes."""

from collections.abc import Collection
from typing import Any

from common.executions.documents import JobSummary, ScalingDecision, StageSpan

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

_CHOICE = sorted(set(ScalingDecision.model_fields) - {"id", "candidates", "policy_memory", "remaining_jobs"})


def candidates_at(scale_outs: Collection[int]) -> Json:
    """Projection of a stored decision: candidates of these scale-outs, and those that it had or chose."""
    wanted: Json = {"$concatArrays": [list(scale_outs), ["$chosen_scale_out", "$current_scale_out"]]}
    of_it: Json = {"$cond": [{"$isArray": ["$candidates"]}, "$candidates", []]}
    found: Json = {"$filter": {"input": of_it, "cond": {"$in": ["$$this.scale_out", wanted]}}}
    return {**dict.fromkeys(_CHOICE, 1), "candidates": found}


WITHOUT_CANDIDATES: Json = {"candidates": 0}
"""Projection of a stored decision."""


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
