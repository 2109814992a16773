"""From a log's events to one record per job, by the rules of the plugin's JobCollector.

Jobs may overlap and share stages. A stage belongs to the first running job that listed it; every other one
that lists it skipped it. The attempts of a stage are reported as one, and the end of a job closes it.
"""

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from training.event_logs.cached_blocks import CachedBlocks
from training.event_logs.executors import ExecutorTimeline
from training.event_logs.stages import span_update, stage_update, sums, with_earlier

Json = dict[str, Any]


@dataclass
class _Attempt:
    info: Json
    completed: Json | None = None
    """The stage as it is reported; None while it runs."""

    @property
    def number(self) -> int:
        return int(self.info.get("Stage Attempt ID") or 0)


@dataclass
class _OpenJob:
    job_id: int
    start_time: int
    stage_ids: frozenset[int]
    attempts: dict[int, _Attempt] = field(default_factory=dict)
    """The latest one of each stage."""
    earlier: dict[int, dict[int, Json]] = field(default_factory=dict)
    """Attempts before it that have ended, by their numbers."""
    input_bytes: float = 0.0


@dataclass(frozen=True)
class EndedJob:
    """A job, and what its tasks read from storage."""

    update: Json
    """The wire form, as `common.wire.events.JobEnded` reads it."""
    input_bytes: float


class JobCollector:
    """Of one application."""

    def __init__(self) -> None:
        self.executors = ExecutorTimeline()
        self.cached_blocks = CachedBlocks()
        self._open: dict[int, _OpenJob] = {}

    @property
    def running(self) -> int:
        """Jobs of which no end was seen."""
        return len(self._open)

    def job_started(self, event: Json) -> None:
        """Note a SparkListenerJobStart."""
        stage_ids = frozenset(event.get("Stage IDs") or ()) | {
            info["Stage ID"] for info in event.get("Stage Infos") or ()
        }
        self._open[event["Job ID"]] = _OpenJob(event["Job ID"], event["Submission Time"], stage_ids)

    def stage_submitted(self, info: Json) -> None:
        """Note that an attempt began. Without a time Spark had no task for it: it is as good as skipped."""
        if info.get("Submission Time") is not None:
            self._record(_Attempt(info))

    def stage_completed(self, info: Json) -> None:
        """Note that an attempt ended, well or not."""
        start, end = info.get("Submission Time"), info.get("Completion Time")
        if start is None or end is None:
            return
        reason = info.get("Failure Reason") or ""
        update = stage_update(info, start, max(start, end), reason, self.executors, self.cached_blocks)
        self._record(_Attempt(info, update))

    def job_ended(self, event: Json) -> EndedJob | None:
        """Close a job; None where its start was never seen."""
        job = self._open.pop(event["Job ID"], None)
        if job is None:
            return None
        end = max(event["Completion Time"], job.start_time)
        update = {
            "job_id": job.job_id,
            "job_result": event["Job Result"]["Result"],
            "start_time": job.start_time,
            "end_time": end,
            **span_update(self.executors.between(job.start_time, end)),
            "stages": {
                str(stage_id): self._closed(job, job.attempts.get(stage_id), end)
                for stage_id in sorted(job.stage_ids)
            },
        }
        return EndedJob(update, job.input_bytes)

    def _record(self, attempt: _Attempt) -> None:
        owner = self._owner_of(attempt.info["Stage ID"])
        if owner is None:
            return
        if attempt.completed is not None:
            owner.input_bytes += sums(attempt.info).get("input.bytesRead", 0.0)
        stage_id = attempt.info["Stage ID"]
        known = owner.attempts.get(stage_id)
        # The last tasks of a failed attempt may let it end after its successor has begun.
        is_latest = known is None or known.number <= attempt.number
        before = known if is_latest else attempt
        latest = owner.attempts[stage_id] = attempt if is_latest or known is None else known
        if before is not None and before.completed is not None and before.number < latest.number:
            owner.earlier.setdefault(stage_id, {})[before.number] = before.completed

    def _owner_of(self, stage_id: int) -> _OpenJob | None:
        first: _OpenJob | None = None
        for job in self._open.values():
            if stage_id in job.attempts:
                return job
            if first is None and stage_id in job.stage_ids:
                first = job
        return first

    def _closed(self, job: _OpenJob, attempt: _Attempt | None, job_end: int) -> Json | None:
        if attempt is None:
            return None
        earlier = job.earlier.get(attempt.info["Stage ID"], {})
        if attempt.completed is not None:
            return self._whole(earlier, attempt.completed)
        # A stage outlives its job when the job fails while another one needs it: that one reports it.
        if (heir := self._owner_of(attempt.info["Stage ID"])) is not None:
            heir.attempts[attempt.info["Stage ID"]] = attempt
            if earlier:
                heir.earlier[attempt.info["Stage ID"]] = earlier
            return None
        start = attempt.info["Submission Time"]
        reason = "The job ended before the stage did"
        latest = stage_update(
            attempt.info, start, max(start, job_end), reason, self.executors, self.cached_blocks
        )
        return self._whole(earlier, latest)

    def _whole(self, earlier: dict[int, Json], latest: Json) -> Json:
        attempts = [*(earlier[number] for number in sorted(earlier)), latest]
        return reduce(lambda before, after: with_earlier(after, before, self.executors), attempts)
