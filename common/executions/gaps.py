"""Holes in the numbers of a run's jobs, which its driver has not explained; pure."""

from collections import Counter
from collections.abc import Sequence

from common.executions.documents import ApplicationExecution, JobExecution

Run = tuple[ApplicationExecution, Sequence[JobExecution]]

_MOST_GAPS = 10_000
"""In one run; with more, it is not asked whether other runs have the same."""


def without_gaps(runs: Sequence[Run]) -> list[Run]:
    """Runs of which every job is known, in the same order.

    Plugins that do not count their jobs leave open what an id stands for that was never reported. Where
    several runs, and all that got so far, left the same ones out, that is how the application is numbered.
    Elsewhere jobs are missing.
    """
    gaps = [_gaps(execution, jobs) for execution, jobs in runs]
    left_out = Counter(job_id for each in gaps if each for job_id in each)
    known = {job.job_id for _, jobs in runs for job in jobs}
    usual = {job_id for job_id, count in left_out.items() if count > 1 and job_id not in known}
    return [run for run, each in zip(runs, gaps, strict=True) if each is not None and each <= usual]


def _gaps(execution: ApplicationExecution, jobs: Sequence[JobExecution]) -> set[int] | None:
    """Ids that nothing explains; None: too many to be named."""
    ids = {job.job_id for job in jobs}
    count = execution.unexplained_gaps(ids)
    if count > _MOST_GAPS:
        return None
    return set(range(max(ids))) - ids if count else set()
