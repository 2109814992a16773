"""A history prepared for training: everything that does not depend on hyperparameters.

What a run's samples know of history comes from laws fitted without that run; so do the errors that
laws and similar runs make of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from training.evidence.graph import critical_path
from training.evidence.learned import learn_from
from training.evidence.odd_runs import OddRun
from training.evidence.run_effects import RunEffects, estimate_run_effects
from training.evidence.table import EmptyHistory, Evidence, expected_jobs, reduced
from training.evidence.timing import Timing
from training.history.values import RunRecord
from training.runtime_model.joint_forecast import left_out_errors
from training.runtime_model.laws import Calibration, calibrate, fit_prior
from training.runtime_model.network import Batch
from training.runtime_model.samples import concatenate, encode
from training.runtime_model.similar_runs import SimilarRuns
from training.statistics.arrays import Bools, Floats, Ints

TRAINING_CUTS_PER_RUN = 12
"""Cut points kept per run, evenly spaced: neighbouring cuts are nearly the same sample."""


@dataclass(frozen=True)
class Prepared:
    """Everything about a history that does not depend on hyperparameters."""

    evidence: Evidence
    run_effects: RunEffects
    calibration: Calibration
    batch: Batch
    run_of: Ints
    """Run of each sample, (S,)."""
    cut_of: Ints
    """Position of its last known job, -1 for none, (S,)."""
    actual: Floats
    """Measured seconds from the cut to the end of the run, (S,)."""
    expected: Bools
    """Jobs that were to be expected of each sample's run and come after the cut, (S, J)."""
    timings: tuple[Timing, ...]
    """From the runs other than this one, per run."""
    odd_runs: tuple[OddRun, ...] = ()
    """Runs that were told apart."""

    def errors(self, job_runtime: Tensor, samples: Ints) -> Floats:
        """Log errors of remaining runtimes: predicted over measured.

        Args:
            job_runtime: Predicted seconds of each job of these samples, (S, J).
            samples: Which they are, (S,).
        Returns:
            One per sample, (S,).
        """
        jobs = self.expected[samples]
        lead = np.stack([self.timings[run].lead for run in self.run_of[samples]])
        share = 1.0 - np.stack([self.timings[run].overlap for run in self.run_of[samples]])
        tail = np.array([self.timings[run].tail for run in self.run_of[samples]])
        # Of a run whose end is unknown, what is measured ends with its last job.
        tail = np.where(np.isfinite(self.evidence.tail[self.run_of[samples]]), tail, 0.0)
        seconds = ((lead + share * job_runtime.double().numpy()) * jobs).sum(axis=1) + tail
        return np.asarray(np.log(np.maximum(seconds, 1e-3) / self.actual[samples]))

    @cached_property
    def law_errors(self) -> Floats:
        """Log errors of laws and run factors alone, each run's from the runs other than it, (S,)."""
        graph = self.evidence.graph
        runtime = critical_path(graph, np.exp(self.batch.log_runtime.double().numpy()))
        return self.errors(torch.from_numpy(runtime), np.arange(len(self.run_of)))

    @cached_property
    def similar_runs(self) -> SimilarRuns:
        """History as whole runs rather than jobs, for forecasts by similar runs."""
        exponent = fit_prior(self.evidence, self.run_effects, self.calibration).size_exponent
        return SimilarRuns(self.evidence, self.run_effects, exponent, self.calibration.change_point)

    @cached_property
    def log_scale_outs(self) -> Floats:
        """Mean ln x of what follows each sample's cut, (S,); see `SimilarRuns.next_log_scale_outs`."""
        return self.similar_runs.next_log_scale_outs(self.run_of, self.expected)

    @cached_property
    def lateness(self) -> Floats:
        """How late each sample's run was up to its cut, (S,); see `SimilarRuns.lateness`."""
        return self.similar_runs.earlier_lateness(self.run_of, self.cut_of)

    @cached_property
    def similar_errors(self) -> Floats:
        """Log errors of similar runs, (S,); NaN where they have nothing to compare a run with."""
        return left_out_errors(self.similar_runs, self.run_of, self.cut_of, self.expected)


def prepare(history: Sequence[RunRecord]) -> Prepared:
    """Fit the leave-one-run-out priors and build all samples of a history.

    Raises:
        EmptyHistory: No run has a job.
    """
    evidence, odd_runs = learn_from(history)
    run_effects = estimate_run_effects(evidence)
    calibration = calibrate(evidence, run_effects)
    jobs = len(evidence.graph.job_ids)
    batches, run_of, cut_of, actual, expected, timings = [], [], [], [], [], []
    for run, context in enumerate(evidence.contexts):
        single = len(evidence.contexts) == 1
        prior = fit_prior(evidence, run_effects, calibration, without=None if single else run)
        others = [other for other in range(len(evidence.contexts)) if single or other != run]
        ran = np.flatnonzero(np.isfinite(evidence.log_job_runtime[run]))
        if not len(ran):
            timings.append(prior.timing)
            continue  # none of its jobs is like any other
        cuts = np.concatenate([[-1], ran[:-1]])
        cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, TRAINING_CUTS_PER_RUN).astype(int))]
        start, end = evidence.start_scale_out[run], evidence.end_scale_out[run]
        latest = np.maximum.accumulate(np.where(np.isfinite(end), np.arange(jobs), ran[0]))
        start = np.where(np.isfinite(start), start, end[latest])
        shape = (len(cuts), jobs)
        batches.append(
            encode(
                prior, evidence, run, cuts, np.broadcast_to(start, shape), np.broadcast_to(end[latest], shape)
            )
        )
        timings.append(prior.timing)
        run_of += [run] * len(cuts)
        cut_of.append(cuts)
        passed = np.array([evidence.frontier[run, cut] if cut >= 0 else 0.0 for cut in cuts])
        actual.append(np.maximum(evidence.total[run] - passed, 1e-3))
        jobs_ahead = np.arange(jobs) > cuts[:, None]
        expected.append(jobs_ahead & expected_jobs(reduced(evidence, others), context))
    if not batches:
        raise EmptyHistory("no run has a job like those of others")
    return Prepared(
        evidence, run_effects, calibration, concatenate(batches), np.array(run_of), np.concatenate(cut_of),
        np.concatenate(actual), np.concatenate(expected), tuple(timings), odd_runs,
    )  # fmt: skip
