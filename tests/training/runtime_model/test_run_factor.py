"""How soon a run is taken to be a slow one: learned from whether runs as a whole differ."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.synthetic import make_history
from training.evidence.run_effects import estimate_run_effects
from training.evidence.table import collect
from training.history.values import RunRecord
from training.runtime_model.laws import Calibration, calibrate, run_factor


def scattered(run: RunRecord, factors: np.ndarray) -> RunRecord:
    """The same run with jobs that take so many times as long; times follow each other as before."""
    jobs, shift = [], 0.0
    for job, factor in zip(run.jobs, factors, strict=True):
        longer = (factor - 1.0) * job.runtime_seconds
        stages = tuple(
            replace(stage, runtime_seconds=stage.runtime_seconds * float(factor)) for stage in job.stages
        )
        moved = replace(
            job,
            start_seconds=job.start_seconds + shift,
            runtime_seconds=job.runtime_seconds + longer,
            stages=stages,
        )
        jobs.append(moved)
        shift += longer
    total = None if run.runtime_seconds is None else run.runtime_seconds + shift
    return replace(run, jobs=tuple(jobs), runtime_seconds=total)


def learned(of_runs: float, of_jobs: float) -> Calibration:
    """From runs that differ by these standard deviations of the log, as a whole and job by job."""
    random, runs = np.random.default_rng(3), []
    for run in make_history((2, 3, 4, 5, 6, 7, 8) * 3, noise=0.0):
        own = random.normal(0.0, of_runs)
        runs.append(scattered(run, np.exp(own + random.normal(0.0, of_jobs, len(run.jobs)))))
    evidence = collect(runs)
    return calibrate(evidence, estimate_run_effects(evidence))


STRAGGLER, SLOW_RUN = np.array([0.0, 0.0, 0.9]), np.full(3, 0.4)
SECONDS = np.full(3, 20.0)


def test_a_straggler_says_less_where_only_jobs_scatter_than_where_runs_differ() -> None:
    scattering, differing = learned(0.0, 0.2), learned(0.4, 0.05)
    assert run_factor(STRAGGLER, SECONDS, scattering) < 0.15
    assert run_factor(STRAGGLER, SECONDS, scattering) < 0.7 * run_factor(STRAGGLER, SECONDS, differing)
    assert run_factor(SLOW_RUN, SECONDS, differing) > 0.3


@pytest.mark.parametrize(("of_runs", "of_jobs"), [(0.0, 0.2), (0.4, 0.05)])
def test_more_jobs_say_more(of_runs: float, of_jobs: float) -> None:
    calibration = learned(of_runs, of_jobs)
    factors = [run_factor(np.full(n, 0.2), np.full(n, 20.0), calibration) for n in (1, 3, 9)]
    assert 0 <= factors[0] <= factors[1] <= factors[2] <= 0.2
