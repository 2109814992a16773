"""One forecast: load the model, fine-tune a copy to the run, predict all candidates at once.

Runs in a worker process. Deserialised models stay in the process; they are never changed. The web
process imports this module for its types: torch is loaded by what only a worker calls.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from common.executions.candidate import Candidate
from training.evidence.place import place_of
from training.history.values import RunRecord
from training.statistics.predictive_std import PredictiveStd

if TYPE_CHECKING:
    from training.runtime_model.artifact import TrainedModel

CACHED_MODELS = 8
"""Models of this many artifacts stay deserialised per worker process."""


@dataclass(frozen=True)
class ForecastRequest:
    """Request to a worker for a forecast; picklable."""

    files: Mapping[str, bytes] | None
    """None: the worker may have read them before; megabytes need not be sent with each request."""
    artifact_key: str
    """Identifies the files' content: equal keys share one deserialised model."""
    run: RunRecord
    """Jobs finished so far; may be empty."""
    after_job_id: int
    """Last finished job, -1 before the run."""
    current_scale_out: int
    candidates: tuple[int, ...]
    fine_tune: bool = True


@dataclass(frozen=True)
class FilesNeeded:
    """Answer of a worker that has nothing of a version: it is to be asked again, with the version's files."""


@dataclass(frozen=True)
class Forecast:
    """Predicted remaining runtime per candidate and remaining job."""

    job_ids: tuple[int, ...]
    """Remaining jobs in order; empty where nothing can be predicted."""
    candidates: tuple[int, ...]
    remaining_seconds: tuple[tuple[float, ...], ...]
    """[candidate][job]: from this job on, with the driver's time before it, to the end of the
    application. [c][0] is everything that is left after `after_job_id`."""
    predictive_stds: tuple[PredictiveStd, ...] = ()
    """Standard deviations of the log of everything that is left, per candidate; larger away from all runs."""
    fine_tune_seconds: float = 0.0
    predict_seconds: float = 0.0
    wait_seconds: float = 0.0
    """Until a worker began."""
    epochs: int = 0
    """Steps of fine-tuning that were kept."""
    reason: str = ""
    """Why nothing can be predicted."""
    source: str | None = None
    """Id of the model version, or whose curves these are."""
    remark: str = ""
    """Why these are not the forecasts that were asked for; empty where they are."""
    note: str = ""
    """Which jobs of the run do not fit those of earlier runs; empty where all do."""
    seen_scale_out: int | None = None
    """Most executors of any run that this was learned from; None: not known."""

    @property
    def after_next_job_seconds(self) -> tuple[float, ...]:
        """Remaining seconds once the next job has ended, per candidate; empty where that is the last one."""
        return tuple(row[1] for row in self.remaining_seconds) if len(self.job_ids) > 1 else ()

    def choices(self, budget_seconds: float) -> tuple[Candidate, ...]:
        """Candidates to choose from: per candidate everything that is left.

        Args:
            budget_seconds: What is left of the runtime target.
        """
        left = [row[0] for row in self.remaining_seconds]
        return candidates_of(self.candidates, left, self.predictive_stds, budget_seconds)


def candidates_of(
    scale_outs: Sequence[int],
    seconds: Sequence[float],
    predictive_stds: Sequence[PredictiveStd],
    budget_seconds: float,
) -> tuple[Candidate, ...]:
    """Candidates from parallel lists, one entry per candidate.

    Args:
        seconds: Medians of the remaining runtime.
        predictive_stds: Standard deviations of its logarithm.
        budget_seconds: What is left of the runtime target.
    """
    columns = zip(scale_outs, seconds, predictive_stds, strict=True)
    return tuple(Candidate(x, median, *std).within(budget_seconds) for x, median, std in columns)


def nothing(candidates: tuple[int, ...], reason: str) -> Forecast:
    """Make the forecast that says why there is none."""
    empty: tuple[float, ...] = ()
    return Forecast((), candidates, (empty,) * len(candidates), reason=reason)


class LoadedModels:
    """Most recently used models of this process, by artifact key."""

    def __init__(self, size: int = CACHED_MODELS) -> None:
        self._size = size
        self._models: OrderedDict[str, TrainedModel] = OrderedDict()

    def find(self, key: str) -> TrainedModel | None:
        """The model of an artifact, if it is here."""
        if key in self._models:
            self._models.move_to_end(key)
        return self._models.get(key)

    def get(self, key: str, files: Mapping[str, bytes]) -> TrainedModel:
        """Look up the model of these files, or deserialise it.

        Raises:
            ArtifactInvalid: The files cannot be used.
        """
        from training.runtime_model.artifact import TrainedModel

        model = self.find(key) or TrainedModel.from_files(files)
        self._models[key] = model
        while len(self._models) > self._size:
            self._models.popitem(last=False)
        return model


MODELS = LoadedModels()


def prepare_to_forecast() -> None:
    """Import what takes seconds, for which the first request should not have to wait."""
    from training.statistics.threads import compute_in_one_thread

    compute_in_one_thread()
    for module in ("fine_tuning", "joint_forecast"):
        importlib.import_module(f"training.runtime_model.{module}")


@dataclass(frozen=True)
class PreloadRequest:
    """A model to have ready before it is asked."""

    files: Mapping[str, bytes]
    artifact_key: str


def preload(request: PreloadRequest) -> None:
    """Deserialise a model in this process.

    Raises:
        ArtifactInvalid: The files cannot be used.
    """
    MODELS.get(request.artifact_key, request.files)


def forecast(request: ForecastRequest) -> Forecast | FilesNeeded:
    """Predict the remaining runtime of a run for every candidate.

    Raises:
        ArtifactInvalid: The files cannot be used.
    """
    from training.statistics.threads import compute_in_one_thread

    compute_in_one_thread()
    if request.files is not None:
        return forecast_with(MODELS.get(request.artifact_key, request.files), request)
    model = MODELS.find(request.artifact_key)
    return FilesNeeded() if model is None else forecast_with(model, request)


def forecast_with(model: TrainedModel, request: ForecastRequest) -> Forecast:
    """Predict the remaining runtime with a model at hand; the model itself stays as it is."""
    from training.runtime_model.fine_tuning import fine_tune
    from training.runtime_model.joint_forecast import forecast_remaining

    evidence, candidates = model.evidence, request.candidates
    if not candidates:
        return nothing(candidates, "there is no candidate scale-out")
    place = place_of(evidence, request.run, request.after_job_id)
    jobs = place.ahead
    if not jobs.any():
        return nothing(candidates, f"history knows no job after {request.after_job_id}")
    run = place.table()

    started = perf_counter()
    network, steps = fine_tune(model, run) if request.fine_tune else (model.network, 0)
    tuned = perf_counter()

    shape = (len(candidates), len(jobs))
    current = float(max(request.current_scale_out, 1))
    end = np.broadcast_to(np.array(candidates, dtype=np.float64)[:, None], shape)
    start = np.where(np.arange(len(jobs)) == np.flatnonzero(jobs)[0], current, end)
    old = np.full(shape, current) if request.after_job_id >= 0 else end
    start = start if request.after_job_id >= 0 else end
    remaining = forecast_remaining(
        model, network, run, place.cut, start, end, jobs, adapt=request.fine_tune, old=old
    )
    spread = place.spread(remaining.remaining_seconds[:, 0])
    return Forecast(
        job_ids=place.job_ids,
        candidates=candidates,
        remaining_seconds=tuple(tuple(map(float, row)) for row in remaining.remaining_seconds),
        predictive_stds=remaining.predictive_stds.widened(spread).each(),
        fine_tune_seconds=tuned - started,
        predict_seconds=perf_counter() - tuned,
        epochs=steps,
        note=place.note,
        seen_scale_out=evidence.seen_scale_out,
    )
