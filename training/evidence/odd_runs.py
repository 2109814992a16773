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

from training.evidence.job_signatures import JobSignature, signature_of
from training.evidence.similarity import SAME_CONTEXT
from training.evidence.table import Evidence, contributions, medians, slots_of
from training.history.values import JobRecord, RunRecord
from training.statistics.arrays import Bools, Floats, Ints

OTHER_RUNS = 3
"""Runs in the same context from which on it can be said that another one is odd."""

ODD_SHARE = 0.125
"""Share of the runs that may be odd, of a context as of all, a single one in any case."""

TWO_ODD_RUNS = 5
"""Runs from which on two may be odd, each in a way of its own: what befell both is the application's way."""


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
    unlike: tuple[JobSignature, ...]
    """Jobs that it had, and most of the others had not."""
    shared: dict[int, tuple[float, float]]
    """Of slots whose work may have been shared with such a job: seconds of its own, and of both."""
    reason: str

    def is_odd_as(self, other: "OddRun") -> bool:
        """Whether the same befell both, as far as it can be told; jobs that failed are accidents of each."""
        strange, others = ([each for each in run.unlike if not each.failed] for run in (self, other))
        return (
            strange == others
            and np.array_equal(self.aside, other.aside)
            and np.array_equal(self.missing, other.missing)
            and bool(strange or self.aside.any() or self.missing.any())
        )


def find_odd_runs(evidence: Evidence, runs: Sequence[RunRecord]) -> tuple[OddRun, ...]:
    """Runs that are unlike others in their context; none where many are, or where no stages are known.

    Args:
        runs: Those of the table, by row.
    """
    if len(runs) <= OTHER_RUNS or not any(each.names for each in evidence.graph.signatures):
        return ()
    odd = [found for row, run in enumerate(runs) if (found := _odd_run(evidence, row, run))]
    if len(odd) > _most_odd(len(runs), odd):
        return ()
    return tuple(each for each in odd if _has_regular_ones(evidence.similarities[each.row], odd))


def _most_odd(runs: int, odd: Sequence[OddRun]) -> int:
    """How many of these runs may be odd."""
    two = runs >= TWO_ODD_RUNS and len(odd) == 2 and not odd[0].is_odd_as(odd[1])
    return max(2 if two else 1, int(ODD_SHARE * runs))


def _has_regular_ones(similarities: Floats, odd_runs: Sequence[OddRun]) -> bool:
    """Whether the context of a run has enough runs that are not odd, and few that are.

    Args:
        similarities: Of all runs to this one, (R,).
    """
    same = similarities >= SAME_CONTEXT
    odd = [each for each in odd_runs if same[each.row]]
    return len(odd) <= _most_odd(int(same.sum()), odd) and same.sum() - len(odd) >= OTHER_RUNS


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
    shared = _shared(jobs, slots, expected)
    retried[list(shared)] = True
    aside, missing = ran[row] & (retried | ~expected), expected & ~ran[row]
    if not ((slots < 0).any() or aside.any() or missing.any()) or not (ran[row] & expected & ~aside).any():
        return None
    reason = _reason(jobs, slots, expected, int(missing.sum()))
    unlike = tuple(signature_of(jobs[at]) for at in _unlike(slots, expected))
    return OddRun(row, run.run_id, aside, missing, expected, unlike, shared, reason)


def _unlike(slots: Ints, expected: Bools) -> list[int]:
    """Positions of jobs that most of the others had not."""
    return [at for at, slot in enumerate(slots) if slot < 0 or not expected[slot]]


def _shared(jobs: Sequence[JobRecord], slots: Ints, expected: Bools) -> dict[int, tuple[float, float]]:
    """Slots whose work may have been shared with a further job that follows or precedes, in two, or been done
    twice: seconds of the slot's job, and of both."""
    found: dict[int, tuple[float, float]] = {}
    for at in _unlike(slots, expected):
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(jobs) and slots[beside] >= 0 and expected[slots[beside]]:
                pair = signature_of(jobs[at]), signature_of(jobs[beside])
                if pair[0].names and pair[0].names == pair[1].names and not pair[0].failed:
                    own = jobs[beside].runtime_seconds
                    found[int(slots[beside])] = own, own + jobs[at].runtime_seconds
    return found


def _reason(jobs: Sequence[JobRecord], slots: Ints, expected: Bools, missing: int) -> str:
    unlike = [jobs[at] for at in _unlike(slots, expected)]
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
        filled = usual * pace
        for slot, seconds_of in odd.shared.items():
            filled[slot] = min(seconds_of, key=lambda each: abs(np.log(max(each, 1e-3) / filled[slot])))
        _replace(evidence, odd, near, filled)


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
