"""Which application executions a list shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.executions.documents import WHOLE_SECONDS, ApplicationState
from common.executions.drivers import EVENT_LOG
from common.mongo.collection import text

_TEXTS = {
    "algorithm_name": "global_specs.algorithm_name",
    "experiment_name": "global_specs.experiment_name",
    "solution_name": "global_specs.solution_name",
    "schedule_name": "schedule_name",
    "submitted_by": "submitted_by",
    "name": "name",
    "workspace": "program.workspace",
}


def _read_as(path: str, kind: str) -> dict[str, Any]:
    """Null where another kind of value is stored, which would fail the query for all of them."""
    return {"$convert": {"input": f"${path}", "to": kind, "onError": None, "onNull": None}}


_STARTED_AT = {
    "$min": [
        *(_read_as(name, "date") for name in ("first_start_time", "start_time")),
        {"$min": "$drivers_without_start.start_time"},
    ]
}
"""Of executions whose start is known; null counts for nothing."""

_MET = {
    "$lte": [
        {"$subtract": [_read_as("end_time", "date"), _STARTED_AT]},  # milliseconds
        {"$multiply": [_read_as("global_specs.max_runtime", "double"), 1000]},
    ]
}


_IN_ORDER = {
    "$gte": [
        _read_as("end_time", "date"),
        {"$subtract": [_STARTED_AT, WHOLE_SECONDS // timedelta(milliseconds=1)]},
    ]
}
"""As `ApplicationExecution.runtime_seconds` has it."""


@dataclass(frozen=True)
class ExecutionFilter:
    """What is None, or empty, decides nothing."""

    algorithm_name: str | None = None
    experiment_name: str | None = None
    solution_name: str | None = None
    schedule_name: str | None = None
    submitted_by: str | None = None
    name: str | None = None
    workspace: str | None = None
    """Runs of its programs."""
    states: Sequence[ApplicationState] = ()
    """One of them."""
    created_from: datetime | None = None
    created_to: datetime | None = None
    """The first moment that is left out."""
    target_met: bool | None = None
    """Of completed executions only: all others have no verdict."""
    without_logs: bool = False
    """Whether runs that their logs alone tell of are left out."""

    def to_query(self) -> dict[str, Any]:
        query: dict[str, Any] = {
            path: text(value) for field, path in _TEXTS.items() if (value := getattr(self, field)) is not None
        }
        states = {state.value for state in self.states}
        if self.target_met is not None:
            states = (states or {ApplicationState.COMPLETED.value}) & {ApplicationState.COMPLETED.value}
            query["start_time"] = query["end_time"] = {"$type": "date"}
            query["$expr"] = {"$and": [_IN_ORDER, _MET if self.target_met else {"$not": [_MET]}]}
        if states or self.target_met is not None:
            query["state"] = {"$in": sorted(states)}
        if self.without_logs:
            query["runner"] = {"$ne": EVENT_LOG}
        times = {"$gte": self.created_from, "$lt": self.created_to}
        if created := {operator: moment for operator, moment in times.items() if moment is not None}:
            query["created_at"] = created
        return query
