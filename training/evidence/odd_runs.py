"""Odd runs: few that had other jobs than the rest, or did work twice, and what they tell all the same.

A job that failed and was made up for by the next, a stage that was tried again, jobs that came or stayed
away with the data: how long such a run took as a whole says little of the next one, but most of its jobs
say as much as ever. What is odd about it is told, and replaced by what the other runs usually took.
Where many runs differ, that is how the application is: nothing is replaced then, and forecasts are less
sure for it.

Numpy only. Axes: R runs, J jobs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evidence.similarity import SAME_CONTEXT
from training.evidence.table import Evidence, contributions, medians, slots_of
from training.history.values import JobRecord, RunRecord
from training.statistics.arrays import Bools, Floats, Ints

OTHER_RUNS = 3
"""Runs in the same context from which on it can be said that another one is odd."""

ODD_SHARE = 0.125
"""Share of the runs that may be odd, of a context as of all, a single one in any case."""


@dataclass(frozen=True)
class OddRun:
    """A run that is unlike the others."""

    row: int
    """Of the table."""
    run_id: str
    aside: Bools
    """Jobs whose times do not count, (J,)."""
    missing: Bools
    """Jobs that the others had, and it had not, (J,)."""
    expected: Bools
    """Jobs that most of the others had, (J,)."""
    reason: str


def find_odd_runs(evidence: Evidence, runs: Sequence[RunRecord]) -> tuple[OddRun, ...]:
    """Runs that are unlike others in their context; none where many are, or where no stages are known.

    Args:
        runs: Those of the table, by row.
    """
    if len(runs) <= OTHER_RUNS or not any(each.names for each in evidence.graph.signatures):
        return ()
    odd = [found for row, run in enumerate(runs) if (found := _odd_run(evidence, row, run))]
    if len(odd) > _most_odd(len(runs)):
        return ()
    rows = [each.row for each in odd]
    return tuple(each for each in odd if _has_regular_ones(evidence.similarities[each.row], rows))


def _most_odd(runs: int) -> int:
    return max(1, int(ODD_SHARE * runs))


def _has_regular_ones(similarities: Floats, odd_rows: Sequence[int]) -> bool:
    """Whether the context of a run has enough runs that are not odd, and few that are.

    Args:
        similarities: Of all runs to this one, (R,).
    """
    same = similarities >= SAME_CONTEXT
    odd = int(same[list(odd_rows)].sum())
    return odd <= _most_odd(int(same.sum())) and same.sum() - odd >= OTHER_RUNS


def _odd_run(evidence: Evidence, row: int, run: RunRecord) -> OddRun | None:
    others = evidence.similarities[row] >= SAME_CONTEXT
    others[row] = False
    if others.sum() < OTHER_RUNS:
        return None
    ran = np.isfinite(evidence.log_job_runtime)
    expected = ran[others].mean(axis=0) >= 0.5
    slots = slots_of(evidence.graph, run)
    jobs = sorted(run.jobs, key=lambda job: job.job_id)
    retried = np.zeros(len(expected), dtype=bool)
    retried[[slot for job, slot in zip(jobs, slots, strict=True) if slot >= 0 and job.retried]] = True
    aside, missing = ran[row] & (retried | ~expected), expected & ~ran[row]
    if not ((slots < 0).any() or aside.any() or missing.any()) or not (ran[row] & expected & ~aside).any():
        return None
    reason = _reason(jobs, slots, expected, int(missing.sum()))
    return OddRun(row, run.run_id, aside, missing, expected, reason)


def _reason(jobs: Sequence[JobRecord], slots: Ints, expected: Bools, missing: int) -> str:
    unlike = [job for job, slot in zip(jobs, slots, strict=True) if slot < 0 or not expected[slot]]
    counts = {
        "failed": sum(job.failed for job in unlike),
        "like none of the others": sum(not job.failed for job in unlike),
        "with a stage that was tried again": sum(job.retried for job in jobs),
        "missing": missing,
    }
    parts = ((count, "job" if count == 1 else "jobs", what) for what, count in counts.items())
    return ", ".join(f"{count} {jobs} {what}" for count, jobs, what in parts if count)


def mend(evidence: Evidence, odd_runs: Sequence[OddRun]) -> None:
    """Replace what is odd by what other runs usually took, at the pace of the run's other jobs; in place."""
    rows = [odd.row for odd in odd_runs]
    regular = np.setdiff1d(np.arange(len(evidence.contexts)), rows)
    seconds = contributions(evidence)
    for odd in odd_runs:
        near = regular[evidence.similarities[odd.row][regular] >= SAME_CONTEXT]
        usual = medians(seconds[near])
        good = np.isfinite(seconds[odd.row]) & odd.expected & ~odd.aside
        pace = _pace(seconds, near, odd.row, good)
        _replace(evidence, odd, near, usual * pace)


def _pace(seconds: Floats, near: Ints, row: int, good: Bools) -> float:
    """How long a run took for jobs that are as usual, over what the others usually take for them."""
    usual = medians(seconds[near])[good].sum()
    return float(seconds[row, good].sum() / max(float(usual), 1e-6))


def _replace(evidence: Evidence, odd: OddRun, near: Ints, seconds: Floats) -> None:
    """Fill in seconds (J,) for what is odd, and add up the run anew."""
    row, graph = odd.row, evidence.graph
    wrong = (odd.aside | odd.missing) & odd.expected
    lead = np.minimum(medians(evidence.lead[near]), seconds)
    overlap = np.minimum(medians(evidence.overlap[near]), 0.99)
    runtime = np.maximum((seconds - lead) / (1.0 - overlap), 1e-3)
    known = np.flatnonzero(np.isfinite(evidence.end_scale_out[row]))
    for job in np.flatnonzero(wrong):
        nearest = known[np.argmin(np.abs(known - job))]
        evidence.log_job_runtime[row, job] = np.log(runtime[job])
        evidence.lead[row, job], evidence.overlap[row, job] = lead[job], overlap[job]
        if not np.isfinite(evidence.end_scale_out[row, job]):
            evidence.start_scale_out[row, job] = evidence.end_scale_out[row, nearest]
            evidence.end_scale_out[row, job] = evidence.end_scale_out[row, nearest]
            evidence.rescaling_ratio[row, job] = 0.0
    nodes = (odd.aside | odd.missing)[graph.node_job]
    evidence.log_runtime[row, nodes] = np.nan
    evidence.metrics[row, nodes] = np.nan
    unusual = odd.aside & ~odd.expected
    for table in (evidence.log_job_runtime, evidence.lead, evidence.overlap, evidence.frontier,
                  evidence.start_scale_out, evidence.end_scale_out, evidence.rescaling_ratio):  # fmt: skip
        table[row, unusual] = np.nan
    kept = np.isfinite(evidence.log_job_runtime[row])
    passed = np.cumsum(np.where(kept, np.nan_to_num(contributions(evidence)[row]), 0.0))
    evidence.frontier[row, kept] = passed[kept]
    evidence.total[row] = passed[-1] + float(np.nan_to_num(evidence.tail[row]))
