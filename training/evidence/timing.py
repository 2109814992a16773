"""What happens between jobs: the driver's time, overlap, and delays of rescaling."""

from typing import NamedTuple

import numpy as np

from training.evidence.table import Evidence
from training.statistics.arrays import Bools, Floats

RESCALING_OUT_SECONDS = 10.0

RESCALING_IN_SECONDS = 2.0
"""Until a requested scale-out is in effect, where the history shows no rescaling. Executors leave
fast, and a delay that is taken too long makes scaling in look cheaper than it is."""


class Timing(NamedTuple):
    """Medians of what happens between jobs."""

    lead: Floats
    """Seconds before each job, (J,); the first one's is the start-up time."""
    overlap: Floats
    """Share of each job hidden behind earlier ones, (J,)."""
    tail: float
    """Seconds after the last job."""

    def remaining(self, job_runtime: Floats, jobs: Bools) -> Floats:
        """Remaining seconds from before each chosen job to the end of the run.

        Args:
            job_runtime: Seconds, (..., J).
            jobs: Which jobs are left, (J,).
        Returns:
            (..., number of jobs left).
        """
        seconds = (self.lead + (1.0 - self.overlap) * job_runtime)[..., jobs]
        return np.asarray(seconds[..., ::-1].cumsum(axis=-1)[..., ::-1] + self.tail)


def timing(evidence: Evidence, runs: Bools) -> Timing:
    """Median lead, overlap and tail of some runs; 0 where none of them shows any.

    Args:
        runs: Which runs of the table count, (R,).
    """

    def medians(table: Floats) -> Floats:
        columns = [column[np.isfinite(column)] for column in table[runs].T]
        return np.array([float(np.median(column)) if len(column) else 0.0 for column in columns])

    tail = float(medians(evidence.tail[:, None])[0])
    return Timing(medians(evidence.lead), medians(evidence.overlap), tail)
