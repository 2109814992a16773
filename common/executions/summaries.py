"""Jobs without what was measured of their stages, which the database leaves out."""

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
