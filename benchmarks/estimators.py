"""Who predicts remaining runtimes of recorded runs: the model, parts of it, and simple estimators.

An estimator is fitted to earlier runs and asked about a later one, after some of its jobs, at the
scale-outs that the run then really had.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch

from benchmarks.ellis_data import complete_runs, job_gaps, usual_jobs
from prediction.forecasts.curves import Curve, fit_bell, fit_ernest
from training.evidence.place import place_of
from training.evidence.table import slots_of
from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.evaluation import scale_outs
from training.runtime_model.fine_tuning import fine_tune
from training.runtime_model.joint_forecast import forecast_remaining
from training.runtime_model.loop import PretrainingSession
from training.statistics.arrays import Floats


@dataclass(frozen=True)
class Estimate:
    """Of the seconds that are left."""

    seconds: float
    log_std: float | None = None
    """Standard deviation of the log of what may be left, of longer runs; None where none is given."""
    early_log_std: float | None = None
    """Of shorter ones."""


class Estimator(Protocol):
    def fit(self, history: Sequence[RunRecord]) -> None: ...

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        """What is left of a run after some of its jobs; later ones only tell their scale-outs."""
        ...


class CurvePerJob:
    """One curve per job, added up, with the median time between jobs."""

    def __init__(self, fit_curve: Callable[[Floats, Floats], Curve]) -> None:
        self._fit_curve = fit_curve
        self._curves: list[Curve] = []
        self._gaps = np.zeros(1)

    def fit(self, history: Sequence[RunRecord]) -> None:
        jobs = usual_jobs(history)
        points = [[run.jobs[job] for run in history if len(run.jobs) > job] for job in range(jobs)]
        self._curves = [
            self._fit_curve(
                np.array([float(p.end_scale_out) for p in of_job]),
                np.array([p.runtime_seconds for p in of_job]),
            )
            for of_job in points
        ]
        self._gaps = np.median([job_gaps(run)[: jobs + 1] for run in complete_runs(history)], axis=0)

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        x = _schedule(run, len(self._curves))
        jobs = range(finished, len(self._curves))
        seconds = sum(float(self._curves[job].predict([x[job]])[0]) for job in jobs)
        return Estimate(seconds + float(self._gaps[finished:].sum()))


class SimilarMedian:
    """Weighted median of what was left of earlier runs; weights fall with the distance of schedules.

    Args:
        width: Of the weights, in ln x.
        from_nearest: Distances count from that of the nearest run, which weighs as much however far it is;
            otherwise all runs weigh the same where none is near.
    """

    def __init__(self, width: float = 0.25, *, from_nearest: bool = False) -> None:
        self._width = width
        self._from_nearest = from_nearest

    def fit(self, history: Sequence[RunRecord]) -> None:
        jobs = usual_jobs(history)
        complete = complete_runs(history)
        self._schedules = np.log([_schedule(run, jobs) for run in complete])
        # Before the first job all of the run is left, the time until that job included.
        ends = [[0.0, *(job.end_seconds for job in run.jobs[:jobs])] for run in complete]
        totals = np.array([run.runtime_seconds or run.jobs[-1].end_seconds for run in complete])
        self._left = totals[:, None] - np.array(ends)

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        jobs = self._schedules.shape[1]
        schedule = np.log(_schedule(run, jobs))
        finished = min(finished, jobs - 1)  # a run that goes on longer is taken to be in its last job
        gap = ((self._schedules - schedule)[:, finished:] ** 2).mean(axis=1)
        if self._from_nearest:
            gap -= gap.min()
        weight = np.exp(-0.5 * gap / self._width**2) + 1e-4
        left = self._left[:, finished]
        order = np.argsort(left)
        total = np.cumsum(weight[order])
        return Estimate(float(left[order][np.searchsorted(total, total[-1] / 2)]))


class Model:
    """The trained model as the service uses it.

    Args:
        retrain_runs: Pretrains again after so many runs.
        network, similar_runs, adapts: Turn parts off, for ablations.
        fine_tunes: Whether the network is fitted to a run's own jobs; laws adapt to them all the same.
        metrics: Whether stages have any, in the history and in the run.
        serves: `network` or `laws`; by default, what validation says.
        local_predictive_stds: Whether intervals follow errors near a scale-out, or of the cut alone.
    """

    def __init__(
        self,
        seed: int,
        *,
        max_epochs: int,
        retrain_runs: int = 1,
        trained: dict[int, TrainedModel] | None = None,
        network: bool = True,
        similar_runs: bool = True,
        adapts: bool = True,
        fine_tunes: bool = True,
        metrics: bool = True,
        serves: str | None = None,
        local_predictive_stds: bool = True,
    ) -> None:
        self._seed, self._retrain_runs, self._max_epochs = seed, retrain_runs, max_epochs
        self._trained = {} if trained is None else trained
        self._network, self._similar_runs, self._adapts = network, similar_runs, adapts
        self._fine_tunes, self._metrics, self._serves = fine_tunes, metrics, serves
        self._local_predictive_stds = local_predictive_stds
        self._model: TrainedModel | None = None
        self._fitted_on = 0

    def fit(self, history: Sequence[RunRecord]) -> None:
        runs = len(history)
        if self._model is not None and runs - self._fitted_on < self._retrain_runs:
            return
        if runs not in self._trained:
            session = PretrainingSession(
                [self._seen(run) for run in history],
                Hyperparameters(),
                max_epochs=self._max_epochs,
                seed=self._seed,
            )
            while not session.finished:
                session.step()
            self._trained[runs] = session.finish(self._serves)
        self._model, self._fitted_on = self._changed(self._trained[runs]), runs

    @property
    def _is_fine_tuned(self) -> bool:
        return self._adapts and self._network and self._fine_tunes

    def _seen(self, run: RunRecord) -> RunRecord:
        return run if self._metrics else without_metrics(run)

    def _changed(self, model: TrainedModel) -> TrainedModel:
        if not self._network:
            weights = {**model.weights, "gate": torch.zeros(())}
            model = replace(model, weights=weights)
        if not self._similar_runs:
            model = replace(model, validation={**model.validation, "similar_runs_share": 0.0})
        if not self._local_predictive_stds:
            model = replace(model, left_out=None)
        return model

    def remaining(self, run: RunRecord, finished: int) -> Estimate:
        model = self._model
        assert model is not None
        graph, run = model.evidence.graph, self._seen(run)
        after = run.jobs[finished - 1].job_id if finished else -1
        so_far = replace(run, jobs=run.jobs[:finished], runtime_seconds=None)
        place = place_of(model.evidence, so_far, after)
        if not place.ahead.any():
            return Estimate(model.prior.timing.tail, model.log_error_std, model.log_error_std)
        start, end = scale_outs(run, slots_of(graph, run), len(graph.job_ids))
        table = place.table()
        network = fine_tune(model, table)[0] if self._is_fine_tuned else model.network
        remaining = forecast_remaining(
            model, network, table, place.cut, start[None], end[None], place.ahead, adapt=self._adapts
        )
        std = remaining.predictive_stds.each()[0]
        return Estimate(float(remaining.remaining_seconds[0, 0]), std.log_std, std.early_log_std)


def baselines() -> dict[str, Estimator]:
    return {
        "Ernest per job": CurvePerJob(fit_ernest),
        "Bell per job": CurvePerJob(fit_bell),
        "median of similar runs": SimilarMedian(),
    }


def models(seed: int, max_epochs: int, retrain_runs: int, ablations: bool) -> dict[str, Estimator]:
    """Ours and its parts; they share what is trained."""
    trained: dict[int, TrainedModel] = {}

    model = partial(Model, seed, retrain_runs=retrain_runs, max_epochs=max_epochs, trained=trained)

    estimators: dict[str, Estimator] = {"ours": model()}
    if ablations:
        estimators["without graph network"] = model(network=False)
        estimators["without similar runs"] = model(similar_runs=False)
        estimators["without this run's jobs"] = model(adapts=False)
        estimators["without scale-outs in intervals"] = model(local_predictive_stds=False)
    return estimators


def without_metrics(run: RunRecord) -> RunRecord:
    """The same run as a listener would report it that measures nothing but times."""
    jobs = (
        replace(job, stages=tuple(replace(stage, metrics=None) for stage in job.stages)) for job in run.jobs
    )
    return replace(run, jobs=tuple(jobs))


def _schedule(run: RunRecord, jobs: int) -> Floats:
    """Scale-out during each job; after the last one of a run that was cut short, that one's."""
    own = [float(max(job.end_scale_out, 1)) for job in run.jobs[:jobs]]
    return np.array(own + own[-1:] * (jobs - len(own)))
