"""What is learned from: the history as a table, with odd runs found and mended."""

from collections.abc import Iterable

from training.evidence.odd_runs import OddRun, find_odd_runs, mend
from training.evidence.table import Evidence, collect, usable
from training.history.values import RunRecord


def learn_from(history: Iterable[RunRecord]) -> tuple[Evidence, tuple[OddRun, ...]]:
    """Table of the usable runs of a history, and which of them were odd.

    Raises:
        EmptyHistory: No run has a job.
    """
    runs = usable(history)
    evidence = collect(runs)
    odd = find_odd_runs(evidence, runs)
    mend(evidence, odd)
    return evidence, odd
