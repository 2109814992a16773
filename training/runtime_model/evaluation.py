"""What a model is worth: its errors on recorded runs that it has not seen.

A run is cut a few times, and at each cut everything happens as in serving: a copy is
fine-tuned to the jobs finished by then, and its remaining runtime is predicted. Scale-outs afterwards
are those the run really had: they are the question and not part of the answer. Nothing else of
later jobs reaches the model, not even that they exist: it counts the jobs that its own history
lets expect, and time spent in others is time that it missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from training.evidence.place import place_of
from training.evidence.table import MIN_SECONDS, EmptyHistory, slots_of
from training.history.values import RunRecord
from training.runtime_model.artifact import TrainedModel
from training.runtime_model.fine_tuning import fine_tune
from training.runtime_model.joint_forecast import forecast_remaining
from training.statistics.arrays import Floats, Ints

EVALUATED_CUTS_PER_RUN = 6
"""Cuts per run; neighbouring ones say nearly the same, and each one costs a fine-tuning."""

ERROR_LIMIT = 3.0
"""Relative error at which a cut stops counting more: one degenerate cut must not decide."""


@dataclass(frozen=True)
class RunError:
    """Predicted and measured remaining runtimes of one run."""

    run_id: str
    after_job_ids: tuple[int, ...]
    """Last finished job at each cut, -1 before the first."""
    predicted_seconds: tuple[float, ...]
    """To the end of the run, with the driver's time; infinite where the model failed to say."""
    measured_seconds: tuple[float, ...]

    @property
    def relative_errors(self) -> Floats:
        """Absolute errors over measured remaining runtimes, at most `ERROR_LIMIT`, per cut."""
        predicted, measured = np.array(self.predicted_seconds), np.array(self.measured_seconds)
        return np.asarray(np.minimum(np.abs(predicted - measured) / measured, ERROR_LIMIT))

    @property
    def log_errors(self) -> Floats:
        """Log of predicted over measured remaining runtimes, per cut, at most ln(1 + `ERROR_LIMIT`) off."""
        predicted = np.maximum(self.predicted_seconds, 1e-9)
        limit = float(np.log1p(ERROR_LIMIT))
        return np.asarray(np.clip(np.log(predicted / np.array(self.measured_seconds)), -limit, limit))

    @property
    def error(self) -> float:
        """Mean absolute relative error of the remaining runtime, 0 to `ERROR_LIMIT`."""
        return float(self.relative_errors.mean())


@dataclass(frozen=True)
class RunErrors:
    """A model's errors on some runs; all cuts count the same, at least one exists."""

    runs: tuple[RunError, ...]
    skipped: tuple[str, ...] = ()
    """Ids of runs in which nothing can be measured."""

    @cached_property
    def _relative_errors(self) -> Floats:
        return np.concatenate([run.relative_errors for run in self.runs])

    @property
    def cuts(self) -> int:
        """Number of cuts at which something was predicted."""
        return len(self._relative_errors)

    @property
    def error(self) -> float:
        """Mean absolute relative error of the remaining runtime, 0 to `ERROR_LIMIT`."""
        return float(self._relative_errors.mean())

    @property
    def median(self) -> float:
        """Median absolute relative error of the remaining runtime, 0 to `ERROR_LIMIT`."""
        return float(np.median(self._relative_errors))

    @property
    def bias(self) -> float:
        """Mean log of predicted over measured remaining runtime: above 0, runs are thought longer than they
        are."""
        return float(np.concatenate([run.log_errors for run in self.runs]).mean())


def remaining_errors(
    model: TrainedModel, runs: Sequence[RunRecord], *, cuts_per_run: int = EVALUATED_CUTS_PER_RUN
) -> RunErrors:
    """Compare remaining runtimes that a model would have predicted during some runs with measured ones.

    A run without jobs is skipped; one with a single job is judged before that job. Where a run's end
    was not recorded, the end of its last job is, and the driver's time after it is left out on both
    sides. Contexts that the model's history does not have are judged like any other: serving
    answers them too, from the nearest ones. The cuts depend on the runs alone, so that errors
    of several models on the same runs are pairs.

    Args:
        runs: Finished runs of the model's application.
        cuts_per_run: Evenly spaced cuts per run, at most; the cost grows with them.
    Raises:
        EmptyHistory: In none of the runs is there anything to measure.
    """
    judged, skipped = [], []
    jobs = len(model.evidence.graph.job_ids)
    for run in runs:
        ordered = replace(run, jobs=tuple(sorted(run.jobs, key=lambda job: job.job_id)))
        finished, measured = choose_cuts(ordered, cuts_per_run)
        if not len(finished):
            skipped.append(run.run_id)
            continue
        start, end = scale_outs(ordered, slots_of(model.evidence.graph, ordered), jobs)
        parts = [replace(ordered, jobs=ordered.jobs[:count], runtime_seconds=None) for count in finished]
        tail = 0.0 if run.runtime_seconds is not None else model.prior.timing.tail
        judged.append(
            RunError(
                run.run_id,
                tuple(part.jobs[-1].job_id if part.jobs else -1 for part in parts),
                tuple(max(predict_remaining(model, part, start, end) - tail, 0.0) for part in parts),
                tuple(map(float, measured)),
            )
        )
    if not judged:
        raise EmptyHistory("there is no run with a finished job to measure errors on")
    return RunErrors(tuple(judged), tuple(skipped))


def choose_cuts(run: RunRecord, count: int) -> tuple[Ints, Floats]:
    """Choose where a run is cut: before its first job or after one, while something is left.

    Args:
        run: Its jobs in order of their ids.
        count: Cuts at most.
    Returns:
        Number of finished jobs, and seconds then left, per cut.
    """
    if not run.jobs:
        return np.array([], dtype=np.int64), np.array([])
    passed = np.maximum.accumulate([0.0, *(job.end_seconds for job in run.jobs)])
    left = max(run.runtime_seconds or 0.0, float(passed[-1])) - passed[:-1]
    possible = np.flatnonzero(left > MIN_SECONDS)  # jobs beside each other may end with the run
    chosen = (
        possible[np.unique(np.linspace(0, len(possible) - 1, count).astype(int))]
        if len(possible)
        else possible
    )
    return chosen, left[chosen]


def scale_outs(run: RunRecord, slots: Ints, jobs: int) -> tuple[Floats, Floats]:
    """Scale-outs that a run had, or would have had, at the start and end of jobs.

    Args:
        run: Its jobs in order of their ids, at least one.
        slots: Position of each of them in a graph, -1 for none, as `slots_of` finds them.
        jobs: J, how many the graph has; one that the run did not have gets what the one before left.
    Returns:
        At the start and at the end, both (J,).
    """
    start, end = np.full(jobs, np.nan), np.full(jobs, np.nan)
    for job, slot in zip(run.jobs, slots.tolist(), strict=True):
        if slot >= 0:
            start[slot], end[slot] = max(job.start_scale_out, 1), max(job.end_scale_out, 1)
    before = np.maximum.accumulate(np.where(np.isfinite(end), np.arange(jobs), -1))
    left = np.where(before >= 0, end[before], float(max(run.jobs[0].start_scale_out, 1)))
    return np.where(np.isfinite(start), start, left), left


def predict_remaining(model: TrainedModel, so_far: RunRecord, start: Floats, end: Floats) -> float:
    """Seconds that a model expects to be left of a run, as in serving.

    Args:
        so_far: The run as it was at that cut: its finished jobs in order of their ids, maybe none.
        start: Scale-out at the start of each job of the model's graph, (J,).
        end: At its end, (J,).
    """
    after = so_far.jobs[-1].job_id if so_far.jobs else -1
    place = place_of(model.evidence, so_far, after)
    if not place.ahead.any():
        return model.prior.timing.tail
    run = place.table()
    network, _ = fine_tune(model, run)
    remaining = forecast_remaining(model, network, run, place.cut, start[None], end[None], place.ahead)
    seconds = float(remaining.remaining_seconds[0, 0])
    return seconds if np.isfinite(seconds) else float("inf")
