"""When an execution ended: what the platform says, what was reported, and what nobody knows; pure.

The service's own clock says when an end was noticed, never when it was.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.executions.documents import ApplicationExecution, ApplicationState, StateChange

Json = dict[str, Any]

_LAST_JOB_END: Json = {
    "$cond": [
        {
            "$and": [
                {"$eq": [{"$type": "$last_job_end_time"}, "date"]},
                {"$gte": ["$last_job_end_time", "$start_time"]},
            ]
        },
        "$last_job_end_time",
        None,
    ]
}
"""Of the driver in charge; null where it has reported none since it started."""

_REPORTED_END: Json = {"$cond": [{"$gte": ["$reported_end_time", "$start_time"]}, "$reported_end_time", None]}
"""By the word of the driver in charge; null, or missing, where it has said nothing."""


MOST_STATE_CHANGES = 500
"""Of an execution, with reasons of a thousand characters each at most."""


def change_of_state(change: StateChange, fields: Mapping[str, Any], now: datetime) -> list[Json]:
    """A state change as an update by a pipeline: the end is compared with what is stored at that moment.

    Args:
        fields: Further top-level fields; with the `end_time` that the platform says, if it says one.
    """
    values = {"state": change.state.value, "state_reason": change.reason, **fields}
    changes: Json = {name: {"$literal": value} for name, value in values.items()}
    changes |= _with_one_more(change)
    if not change.state.is_final:
        return [{"$set": changes}]
    ended_at = fields.get("end_time")
    if change.state.may_be_contradicted:
        changes["released_name"] = "$held_name"
    if ended_at is None:
        changes["end_time"] = {"$max": [_REPORTED_END, _LAST_JOB_END]}
        only_by_job = [{"$eq": [{"$ifNull": [_REPORTED_END, None]}, None]}, {"$ne": [_LAST_JOB_END, None]}]
        changes["end_time_inferred"] = {"$and": only_by_job}
        changes["end_noticed_at"] = now
    else:
        changes["platform_end_time"] = ended_at
        if change.state is not ApplicationState.KILLED:
            changes["end_time"] = {"$max": [{"$min": [ended_at, _REPORTED_END]}, _LAST_JOB_END]}
    return [{"$set": changes}, {"$unset": "held_name"}]


def _with_one_more(change: StateChange) -> Json:
    """The first change and the latest ones are kept: what is started again for weeks has thousands."""
    before = {"$ifNull": ["$state_changes", []]}
    is_full = {"$gte": [{"$size": before}, MOST_STATE_CHANGES]}
    kept = [{"$slice": [before, 1]}, {"$slice": [before, 2 - MOST_STATE_CHANGES]}]
    left = {"$cond": [is_full, {"$concatArrays": kept}, before]}
    one_less = {"$add": [{"$ifNull": ["$state_changes_left_out", 0]}, {"$cond": [is_full, 1, 0]}]}
    return {
        "state_changes": {"$concatArrays": [left, [{"$literal": change.model_dump()}]]},
        "state_changes_left_out": one_less,
    }


def reported_end(execution: ApplicationExecution, ended_at: datetime) -> Json:
    """What the word of the driver in charge changes about an end that is stored: the earlier one counts.

    What the platform says is when it noticed, which may be minutes later. The end of a run that was killed
    stays, where it is known.
    """
    if execution.start_time is not None and ended_at < execution.start_time:
        return {}
    fields: Json = {"reported_end_time": ended_at}
    if not execution.state.is_final:
        return fields
    known = None if execution.end_time_inferred else execution.end_time
    if known is not None and (execution.state is ApplicationState.KILLED or known <= ended_at):
        return fields
    last_job = execution.last_job_end_time
    covered = ended_at if last_job is None else max(ended_at, last_job)
    return {**fields, "end_time": covered, "end_time_inferred": False}


def end_after_job(execution: ApplicationExecution, job_end: datetime) -> Json:
    """What a job of the driver in charge changes about an end that is stored: the runtime covers it.

    The end of a run that was killed stays: the order to end it was carried out then.
    """
    if not execution.state.is_final or (execution.start_time is not None and job_end < execution.start_time):
        return {}
    ended_at = execution.end_time
    if ended_at is None:
        return {"end_time": job_end, "end_time_inferred": True}
    if job_end <= ended_at or (
        execution.state is ApplicationState.KILLED and not execution.end_time_inferred
    ):
        return {}
    if execution.end_time_inferred:
        return {"end_time": job_end}
    return {"end_time": job_end, "platform_end_time": execution.platform_end_time or ended_at}
