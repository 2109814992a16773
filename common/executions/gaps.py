"""Holes in the numbers of a run's jobs, which its driver has not explained; pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from common.executions.documents import ApplicationExecution, JobExecution

Run = tuple[ApplicationExecution, Sequence[JobExecution]]

_MOST_GAPS = 10_000
"""In one run; with more, it is not asked whether other runs have the same."""


@dataclass(frozen=True)
class Numbering:
    """Ids that the jobs of a run have."""

    ranges: tuple[tuple[int, int], ...]
    """First and last of each row of them without a hole, in order."""
    is_counted: bool
    """Whether the driver has told how many jobs it ended: ids that it left out are no jobs then."""

    @classmethod
    def of(cls, job_ids: Iterable[int], *, is_counted: bool) -> "Numbering":
        """Of ids in any order."""
        ranges: list[tuple[int, int]] = []
        for job_id in sorted(set(job_ids)):
            if ranges and job_id == ranges[-1][1] + 1:
                ranges[-1] = ranges[-1][0], job_id
            else:
                ranges.append((job_id, job_id))
        return cls(tuple(ranges), is_counted)

    def __contains__(self, job_id: int) -> bool:
        place = bisect_right(self.ranges, (job_id, float("inf"))) - 1
        return place >= 0 and job_id <= self.ranges[place][1]

    @property
    def gaps(self) -> set[int] | None:
        """Ids that nothing explains; None: too many to be named."""
        if self.is_counted or not self.ranges:
            return set()
        ends = [-1, *(last for _, last in self.ranges)]
        holes = [(end + 1, first) for end, (first, _) in zip(ends[:-1], self.ranges, strict=True)]
        if sum(until - begin for begin, until in holes) > _MOST_GAPS:
            return None
        return {job_id for begin, until in holes for job_id in range(begin, until)}


def are_complete(numberings: Sequence[Numbering]) -> list[bool]:
    """Whether every job of runs is known, for each of them.

    Plugins that do not count their jobs leave open what an id stands for that was never reported. Where
    several runs, and all that got so far, left the same ones out, that is how the application is numbered.
    Elsewhere jobs are missing.
    """
    gaps = [each.gaps for each in numberings]
    left_out = Counter(job_id for each in gaps if each for job_id in each)
    usual = {
        job_id
        for job_id, count in left_out.items()
        if count > 1 and not any(job_id in each for each in numberings)
    }
    return [each is not None and each <= usual for each in gaps]


def without_gaps(runs: Sequence[Run]) -> list[Run]:
    """Runs of which every job is known, in the same order."""
    found = [numbering_of(execution, jobs) for execution, jobs in runs]
    return [run for run, is_complete in zip(runs, are_complete(found), strict=True) if is_complete]


def unexplained_gaps(execution: ApplicationExecution, job_ids: Collection[int]) -> int:
    """How many ids the driver in charge has left out, where it has not told how many jobs it ended.

    A driver numbers its jobs without holes; few of them never report, because they never began.

    Args:
        job_ids: Of that driver's jobs, as far as they are stored.
    """
    return 0 if execution.ended_jobs is not None else max(job_ids, default=-1) + 1 - len(job_ids)


def numbering_of(execution: ApplicationExecution, jobs: Iterable[JobExecution]) -> Numbering:
    """Of the jobs of the driver in charge."""
    return Numbering.of((job.job_id for job in jobs), is_counted=execution.ended_jobs is not None)
