"""Whole runs by the context model: earlier runs in any context, and how wrong it was about them.

It is fitted to the earlier runs alone, of which it needs nothing but a runtime, a scale-out and a context:
what is learned from a history answers all questions about it. How sure it is comes from runs left out, as
for all forecasts: its own standard deviations say where it is less sure, and not how much runs vary by
chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from training.context_model.encoding import Feature
from training.context_model.questions import EarlierRun, NoPrediction, Query, RuntimePrediction
from training.evidence.similarity import SAME_CONTEXT, context_groups, similarity
from training.history.values import RunContext, RunRecord
from training.statistics.arrays import Floats

if TYPE_CHECKING:
    from training.context_model.model import ContextModel

RESOURCES = ("executor_cores", "executor_memory_mb")
SIZES = ("data_size_mb",)
MEMORY = ("executor_memory_mb",)
"""Features that every executor adds, those that are sizes of the data, and memory in the unit of these."""

FOLDS = 10
"""Times that the model is fitted to see how wrong it is about runs left out."""

REFITTED_RUNS = 60
"""With more, a tenth of them moves no parameter: those of all runs stand for those of each fold, which takes
a tenth of the time."""


@dataclass(frozen=True)
class ContextForecast:
    """Log-normal runtimes of whole runs, per candidate."""

    log_mean: Floats
    """(X,)"""
    log_std: Floats
    """Standard deviations of the model itself, (X,)."""
    errors: Floats
    """Log errors, predicted over measured, per run; NaN where a run was not left out, (R,)."""
    typical_std: float
    """Median standard deviation about the runs left out; about all candidates where there are none."""


def run_seconds(run: RunRecord) -> float:
    """Seconds of the whole application; to the end of its last job where its own end is unknown."""
    return max((run.runtime_seconds or 0.0, *(job.end_seconds for job in run.jobs)))


def run_scale_out(run: RunRecord) -> float:
    """The constant scale-out that a run is most like: geometric mean over the time of its jobs."""
    weights = np.array([max(job.runtime_seconds, 1e-3) for job in run.jobs])
    ends = [(max(job.start_scale_out, 1), max(job.end_scale_out, 1)) for job in run.jobs]
    return float(np.exp(weights @ np.log(ends).mean(axis=1) / weights.sum()))


def completed(history: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs that show how long a whole run takes, oldest first."""
    runs = [run for run in history if run.jobs and run_seconds(run) > 0]
    return sorted(runs, key=lambda run: (run.started_at, run.run_id))


def context_features(context: RunContext) -> Mapping[str, Feature]:
    """Features that may explain a runtime, by name; an argument `--name value` is one of that name."""
    features: dict[str, Feature] = {
        "data_size_mb": context.data_size_mb,
        "data_characteristics": context.data_characteristics,
        "machine_name": context.machine_name,
        "environment_name": context.environment_name,
        "executor_cores": context.executor_cores,
        "executor_memory_mb": context.executor_memory_mb,
        "versions": " ".join(context.versions),
    }
    name = ""
    for position, argument in enumerate(context.algorithm_args):
        option, equals, value = argument.partition("=")
        if argument.startswith("-") and not _is_number(argument):
            features[f"argument {option}"] = value if equals else True
            name = "" if equals else option
        else:
            features[f"argument {name or position}"] = argument
            name = ""
    return features


def same_context(runs: Sequence[RunRecord], context: RunContext) -> np.ndarray:
    """Whether runs were in this context, or one that hardly differs, (R,)."""
    if not runs:
        return np.zeros(0, dtype=bool)
    return np.asarray(similarity([run.context for run in runs], context) >= SAME_CONTEXT)


class ContextFits:
    """The context model of some runs, and how wrong it was about those left out; fitted when first asked.

    Args:
        runs: At least one, as `completed` has them.
        seconds: What each run took, (R,).
    """

    def __init__(self, runs: Sequence[RunRecord], seconds: Sequence[float]) -> None:
        self._runs = runs
        self._earlier_runs = [
            EarlierRun(context_features(run.context), run_scale_out(run), took)
            for run, took in zip(runs, seconds, strict=True)
        ]
        self._left_out: dict[bool, tuple[Floats, Floats]] = {}

    def forecast(self, context: RunContext, candidates: Sequence[int], *, is_new: bool) -> ContextForecast:
        """Forecast whole runs in a context.

        Args:
            candidates: Scale-outs, at least one.
            is_new: Whether no run was in this context (`same_context`). Whole contexts are left out then to
                see how wrong that goes; otherwise single runs are.
        """
        features = context_features(context)
        prediction = _predict(self._model, [Query(features, scale_out) for scale_out in candidates])
        errors, stds = self._errors(whole_contexts=is_new)
        measured = stds[np.isfinite(stds)]
        typical = float(np.median(measured if len(measured) else prediction.run_log_std))
        return ContextForecast(prediction.log_mean, prediction.run_log_std, errors, typical)

    def learn(self) -> None:
        """Fit everything now."""
        self._errors(whole_contexts=False)
        self._errors(whole_contexts=True)

    @cached_property
    def _model(self) -> "ContextModel":
        return _fit(self._earlier_runs)

    def _errors(self, *, whole_contexts: bool) -> tuple[Floats, Floats]:
        if whole_contexts not in self._left_out:
            self._left_out[whole_contexts] = self._leave_out(whole_contexts=whole_contexts)
        return self._left_out[whole_contexts]

    def _leave_out(self, *, whole_contexts: bool) -> tuple[Floats, Floats]:
        """Log errors about runs left out and standard deviations; NaN where one was not, both (R,)."""
        runs, earlier_runs = self._runs, self._earlier_runs
        # Of contexts that hardly differ, as sizes of the data do from day to day, one tells of the other.
        groups = context_groups([run.context for run in runs]) if whole_contexts else list(range(len(runs)))
        distinct = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        fold_of = np.array([distinct[group] % FOLDS for group in groups])
        errors, stds = np.full(len(runs), np.nan), np.full(len(runs), np.nan)
        like = self._model if len(runs) > REFITTED_RUNS else None
        for fold in range(min(FOLDS, len(distinct)) if len(distinct) > 1 else 0):
            left_out = np.flatnonzero(fold_of == fold)
            part = _predict(
                _fit([earlier_runs[row] for row in np.flatnonzero(fold_of != fold)], like),
                [Query(earlier_runs[row].context, earlier_runs[row].scale_out) for row in left_out],
            )
            errors[left_out] = part.log_mean - np.log([earlier_runs[row].runtime_seconds for row in left_out])
            stds[left_out] = part.run_log_std
        return errors, stds


def _fit(earlier_runs: Sequence[EarlierRun], like: "ContextModel | None" = None) -> "ContextModel":
    from training.context_model.model import fit_context_model  # scipy's: a worker's, not the web process's

    return fit_context_model(earlier_runs, resources=RESOURCES, sizes=SIZES, memory=MEMORY, like=like)


def _predict(model: "ContextModel", queries: Sequence[Query]) -> RuntimePrediction:
    prediction = model.predict(queries)
    assert not isinstance(prediction, NoPrediction), "every run has a runtime and a scale-out"
    return prediction


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
