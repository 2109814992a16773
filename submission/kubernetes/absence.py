"""What can be said of an execution whose SparkApplication is gone, and whose end nobody saw; pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.executions.documents import ApplicationExecution, ApplicationState, JobSummary
from common.wire.results import job_succeeded


def why_gone(execution: ApplicationExecution, jobs: Sequence[JobSummary], now: datetime) -> str:
    """The likeliest cause, that the outcome is not known, and what was reported.

    Args:
        jobs: Of the driver in charge.
    """
    said = [f"Its SparkApplication is gone, {_cause(execution, now)}. How it ended is not known."]
    results = [job_succeeded(job.job_result) for job in jobs]
    if results and all(results):
        said.append(f"All jobs that it reported have succeeded ({len(jobs)}).")
    elif False in results:
        said.append(f"Of {len(jobs)} jobs that it reported {results.count(False)} failed.")
    return " ".join(said)


def _cause(execution: ApplicationExecution, now: datetime) -> str:
    lifetime_seconds = _lifetime_seconds(execution)
    if lifetime_seconds is not None and now - _last_sign(execution) >= timedelta(seconds=lifetime_seconds):
        return (
            f"most likely because it had ended, and time_to_live_seconds ({lifetime_seconds})"
            " passed while the service did not watch"
        )
    if execution.state is ApplicationState.UNKNOWN:
        return (
            "deleted while the service did not watch; before that the spark-operator had lost sight of its"
            " driver, which may have been evicted with its node"
        )
    return "deleted while the service did not watch, by somebody or with its namespace"


def _lifetime_seconds(execution: ApplicationExecution) -> int | None:
    """After its end."""
    spec = execution.manifests[0].get("spec", {}) if execution.manifests else {}
    seconds = spec.get("timeToLiveSeconds")
    return seconds if isinstance(seconds, int) and seconds < 2**31 else None


def _last_sign(execution: ApplicationExecution) -> datetime:
    """When something was last heard of it."""
    seen = [change.at for change in execution.state_changes]
    reported = [at for at in (execution.start_time, execution.last_job_end_time) if at is not None]
    return max([execution.created_at, *seen, *reported])
