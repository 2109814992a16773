"""Indexes of application executions, their jobs and decisions."""

from collections.abc import Mapping
from typing import Any

from common.mongo.collection import IS_TEXT, NEWEST, Index

Json = dict[str, Any]


def _texts(path: str) -> Json:
    return {"partialFilterExpression": {path: IS_TEXT}}


def _newest_by(name: str, path: str, options: Mapping[str, Any] | None = None) -> Index:
    return Index(f"newest_by_{name}", [path, *NEWEST.fields], options or {})


OF_JOBS = [Index("one_job_once", ["application_execution_id", "application_id", "job_id"], {"unique": True})]

OF_APPLICATIONS = [
    Index("history", ["global_specs.system_name", "global_specs.algorithm_name", "-created_at"]),
    NEWEST,
    # What a list is filtered by, in its order: where few are like that, not all are looked at.
    _newest_by("algorithm", "global_specs.algorithm_name"),
    _newest_by("state", "state"),
    _newest_by("owner", "submitted_by", _texts("submitted_by")),
    _newest_by("schedule", "schedule_name", _texts("schedule_name")),
    _newest_by("workspace", "program.workspace", _texts("program.workspace")),
    Index("one_with_this_name", ["held_name"], {"unique": True, **_texts("held_name")}),
    Index("of_spark_application", ["application_id"], _texts("application_id")),
    Index("of_driver", ["driver_starts.application_id"]),
    Index("unmeasured", ["state"], {"partialFilterExpression": {"accuracy_measured": False}}),
]

OF_DECISIONS = [Index("of_execution", ["application_execution_id", "decided_at"])]
