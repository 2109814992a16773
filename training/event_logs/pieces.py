"""A run as it travels to the service: in pieces that each fit into a request, any of them again."""

import json
from collections.abc import Iterator
from typing import Any

from training.event_logs.recorded import RecordedAttempt
from training.event_logs.specs import Said, specs_of, start_scale_out

Json = dict[str, Any]

_MOST_JOBS = 200
_MOST_BYTES = 2 << 20


def pieces_of(attempt: RecordedAttempt, said: Said) -> Iterator[Json]:
    """Bodies of `POST /training/import`, the last one with the end.

    Raises:
        UnreadableLog: The log has no start.
        InvalidRequest: What is said of the run is impossible.
    """
    _ = attempt.application_id  # raises where there is none
    assert attempt.start is not None, "it has an id"
    started = dict(attempt.start)
    if (scale_out := start_scale_out(attempt)) is not None:
        started["start_scale_out"] = scale_out
    common = {"specs": specs_of(attempt, said).model_dump(mode="json"), "started": started}
    jobs: list[Json] = []
    job_ids: set[int] = set()
    size = 0
    for job in attempt.job_updates():
        weight = len(json.dumps(job))
        if jobs and (len(jobs) >= _MOST_JOBS or size + weight > _MOST_BYTES):
            yield {**common, "jobs": jobs}
            jobs, size = [], 0
        jobs.append(job)
        job_ids.add(job["job_id"])
        size += weight
    yield {**common, "jobs": jobs, "ended": _end(attempt, len(job_ids))}


def _end(attempt: RecordedAttempt, ended_jobs: int) -> Json:
    """How it ended, as far as a log can tell: of what a program exits with Spark's log knows nothing."""
    ended_at = attempt.ended_at
    if attempt.why_incomplete:
        return {
            "outcome": "UNKNOWN",
            "reason": f"Of its event log not all is there: {attempt.why_incomplete}.",
        }
    if attempt.exit_code:
        return {
            "outcome": "FAILED",
            "end_time": ended_at,
            "reason": f"exit code {attempt.exit_code}, by its event log",
        }
    if attempt.last_job_failed or attempt.running_jobs:
        what = "its last job failed" if attempt.last_job_failed else "a job of it never ended"
        return {"outcome": "FAILED", "end_time": ended_at, "reason": f"By its event log, {what}."}
    return {
        "outcome": "COMPLETED",
        "end_time": ended_at,
        "reason": "By its event log.",
        "ended_jobs": ended_jobs,
    }
