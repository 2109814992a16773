"""The runtime of a whole run at every candidate scale-out, before it starts; pure.

Three forecasts are at hand. The graph model, joined with similar runs, knows its application best: it
is asked where its history has runs in this context. Similar runs alone need no training, but some runs;
they follow change points, which smooth laws do not. The context model answers for contexts and machine types
that no run was in, and for few earlier runs. They are asked in this order, and a later one is
believed only where it was clearly less wrong about runs left out: with few runs, the smallest of
several errors is small by chance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.executions.candidate import Candidate
from prediction.forecasts.by_context import same_context
from prediction.forecasts.forecast import MODELS, Forecast, ForecastRequest, candidates_of, forecast_with
from prediction.forecasts.learned_history import LearnedHistory, RunTable
from training.evidence.odd_runs import OddRun
from training.evidence.table import collect, expected_jobs
from training.history.values import RunContext, RunRecord
from training.runtime_model.similar_runs import USUAL_STATE
from training.statistics.arrays import Bools, Floats
from training.statistics.predictive_std import PredictiveStd, interval_std, symmetric_std

if TYPE_CHECKING:
    from training.runtime_model.artifact import TrainedModel

MODEL, SIMILAR_RUNS, CONTEXT_MODEL = "model", "similar-runs", "context-model"
"""Where a forecast comes from."""

_LABELS = {SIMILAR_RUNS: "similar runs", CONTEXT_MODEL: "the context model"}

CLEARLY = 0.8
"""Left-out errors below this share of another forecast's are no chance."""

LEAST_SIMILAR_RUNS = 6
"""Runs in a context from which on similar runs alone are asked: of fewer they have no shape, and laws do."""

MIN_LEFT_OUT = 3
"""Left-out runs from which on their errors say how sure a forecast is."""

UNVALIDATED_WHOLE_RUN_LOG_STD = 0.4
"""Standard deviation of log runtime that is claimed with fewer."""

BELIEVED_LOG_STD, BELIEF_RUNS = 0.3, 2.0
"""What is believed of it before any error is seen, and how many errors that is worth."""

WHOLE_RUN_LOG_STD_FLOOR, MAX_WHOLE_RUN_LOG_STD = 0.03, 1.5


@dataclass(frozen=True)
class WholeRunForecast:
    """Log-normal runtimes per candidate; without candidates there is none."""

    candidates: tuple[int, ...] = ()
    runtime_seconds: tuple[float, ...] = ()
    """Medians."""
    predictive_stds: tuple[PredictiveStd, ...] = ()
    """Standard deviations of the log runtimes, per candidate."""
    source: str = ""
    """`model`, `similar-runs` or `context-model`."""
    runs: int = 0
    """Earlier runs that it was learned from."""
    left_out_errors: tuple[tuple[str, float], ...] = ()
    """Sources that were compared, each with its standard deviation of log error on runs left out."""
    seen_scale_out: int | None = None
    """Most executors of any run that is known; None: of none it is."""
    label: str = ""
    """Origin of the forecast in words, where the source does not say."""
    reason: str = ""
    """In which contexts the runs were, or why there is no forecast."""

    def choices(self, target_seconds: float) -> tuple[Candidate, ...]:
        """Candidates to choose from.

        Args:
            target_seconds: For the whole application.
        """
        return candidates_of(self.candidates, self.runtime_seconds, self.predictive_stds, target_seconds)

    @property
    def description(self) -> str:
        """Description of the forecast in words: its label, how many runs, and how wrong it usually is."""
        errors = ", ".join(
            f"{_LABELS.get(source, source)} {math.expm1(std):.0%}" for source, std in self.left_out_errors
        )
        parts = [
            f"{self.label or _LABELS.get(self.source, 'the model')}, {_counted(self.runs)}",
            self.reason,
            f"usual errors on runs left out: {errors}" if errors else "",
        ]
        return "; ".join(filter(None, parts))


@dataclass(frozen=True)
class WholeRunRequest:
    """Request to a worker for whole runs; picklable."""

    history: tuple[RunRecord, ...] | LearnedHistory
    context: RunContext
    candidates: tuple[int, ...]
    files: Mapping[str, bytes] | None = None
    """Files of the model, if there is one."""
    artifact_key: str = ""
    """Identifies the files' content."""


def whole_run_of(forecast: Forecast, *, source: str, label: str, runs: int) -> WholeRunForecast:
    """Whole-run forecast from one of everything that is left, made before the run."""
    if not forecast.job_ids:
        return WholeRunForecast(reason=forecast.reason or "no job is left")
    seconds = tuple(row[0] for row in forecast.remaining_seconds)
    return WholeRunForecast(
        forecast.candidates,
        seconds,
        forecast.predictive_stds,
        source=source,
        runs=runs,
        seen_scale_out=forecast.seen_scale_out,
        label=label,
        reason=forecast.remark,
    )


class _Forecast(NamedTuple):
    source: str
    log_mean: Floats
    """(X,)"""
    predictive_stds: tuple[PredictiveStd, ...]
    """(X,)"""
    left_out_std: float | None
    """None with too few runs to leave any out."""
    runs: int


def answer_whole_run(request: WholeRunRequest) -> WholeRunForecast:
    """Forecast whole runs in a worker; a model that cannot be used is done without, and `reason` says so."""
    from training.runtime_model.artifact import ArtifactInvalid

    model, unusable = None, ""
    if request.files is not None:
        try:
            model = MODELS.get(request.artifact_key, request.files)
        except ArtifactInvalid as error:
            unusable = f"the model cannot be used: {error}"
    forecast = forecast_whole_run(request.history, model, request.context, request.candidates)
    return replace(forecast, reason="; ".join(filter(None, (forecast.reason, unusable))))


def forecast_whole_run(
    history: Sequence[RunRecord] | LearnedHistory,
    model: "TrainedModel | None",
    context: RunContext,
    candidates: Sequence[int],
) -> WholeRunForecast:
    """Forecast a run that keeps its first scale-out.

    Args:
        history: Finished runs of the application, in any contexts, or what was learned from them before.
        model: Its trained model, if there is one; what it was trained on need not be the history.
    """
    learned = history if isinstance(history, LearnedHistory) else LearnedHistory(history)
    runs = learned.runs
    if not candidates:
        return WholeRunForecast(reason="there is no candidate scale-out")
    same = same_context(runs, context)
    if not runs and model is None:
        return WholeRunForecast(reason=f"no finished run of {context.algorithm_name} is known")
    useful = learned.useful_scale_out(same)
    asked = tuple(min(each, useful or each) for each in candidates)
    scale_outs = tuple(dict.fromkeys(asked))
    by_model = _by_model(model, context, scale_outs) if model is not None else None
    forecasts = [by_model] if by_model else []
    odd_runs: tuple[OddRun, ...] = ()
    if runs:
        table = learned.table(same)
        odd_runs = table.odd_runs
        similar = _by_similar_runs(table, same, context, scale_outs)
        forecasts += [similar] if similar else []
        forecasts.append(_by_context(learned, same, context, scale_outs))
    if not forecasts:
        return WholeRunForecast(reason="no finished run is known, and the model knows no run in this context")
    best = forecasts[0]
    for other in forecasts[1:]:
        if other.left_out_std is not None and (
            best.left_out_std is not None and other.left_out_std < CLEARLY * best.left_out_std
        ):
            best = other
    of_candidate = [scale_outs.index(each) for each in asked]
    return WholeRunForecast(
        tuple(candidates),
        tuple(map(float, np.exp(best.log_mean[of_candidate]))),
        tuple(best.predictive_stds[each] for each in of_candidate),
        source=best.source,
        runs=best.runs,
        seen_scale_out=_most(learned.seen_scale_out, model.evidence.seen_scale_out if model else None),
        left_out_errors=tuple((f.source, f.left_out_std) for f in forecasts if f.left_out_std is not None),
        reason=_remark(runs, same, context, odd_runs) + _useful_remark(useful, candidates),
    )


def left_out_std(errors: Floats, believed: float = BELIEVED_LOG_STD) -> float | None:
    """Standard deviation of log errors whose 90% interval covers 90% of those left out.

    As if one more had been far off; with few errors it stays near what was believed before.
    """
    finite = errors[np.isfinite(errors)]
    number = len(finite)
    if number < MIN_LEFT_OUT:
        return None
    seen = interval_std(finite)
    return math.sqrt((number * seen**2 + BELIEF_RUNS * believed**2) / (number + BELIEF_RUNS))


def _by_model(model: "TrainedModel", context: RunContext, candidates: tuple[int, ...]) -> _Forecast | None:
    """Forecast by the graph model joined with its similar runs; None where its history lacks this context."""
    contexts = model.evidence.contexts
    if not same_context([RunRecord("", each, 0.0) for each in contexts], context).any():
        return None
    run = RunRecord("", context, 0.0)
    request = ForecastRequest({}, "", run, -1, 0, candidates, fine_tune=False)
    forecast = forecast_with(model, request)
    if not forecast.job_ids:
        return None
    log_mean = np.log(np.maximum([row[0] for row in forecast.remaining_seconds], 1e-3))
    # Both sides together, as of the other forecasts that it is compared with.
    std = min(0.5 * (stds.log_std + stds.early_log_std) for stds in forecast.predictive_stds)
    return _Forecast(MODEL, log_mean, forecast.predictive_stds, std, len(contexts))


def _by_similar_runs(
    table: RunTable, same: Bools, context: RunContext, candidates: tuple[int, ...]
) -> _Forecast | None:
    """Forecast by similar runs as a whole; None with fewer than `LEAST_SIMILAR_RUNS` in this context.

    Args:
        same: Whether runs of the history were in this context, (R,).
    """
    evidence = table.evidence
    if same[table.rows].sum() < LEAST_SIMILAR_RUNS:
        return None
    ahead = expected_jobs(evidence, context)
    if not ahead.any():
        return None
    similar = table.similar_runs
    run = collect([RunRecord("", context, 0.0)], evidence.graph)
    shape = (len(candidates), len(ahead))
    schedules = np.broadcast_to(np.array(candidates, dtype=np.float64)[:, None], shape)
    remaining = similar.forecast_remaining(run, -1, schedules, ahead, USUAL_STATE)
    if remaining is None:
        return None
    errors = np.full(len(same), np.nan)
    left_out = similar.left_out(-1, ahead)
    if left_out is not None:
        errors[table.rows[left_out.rows]] = left_out.error
    beyond = np.sqrt(np.maximum(remaining.log_std**2 - remaining.typical_std**2, 0.0))
    std = _judged(errors, same)
    return _Forecast(SIMILAR_RUNS, remaining.log_mean, _predictive_stds(std, beyond), std, len(table.rows))


def _by_context(
    learned: LearnedHistory, same: Bools, context: RunContext, candidates: tuple[int, ...]
) -> _Forecast:
    forecast = learned.context_fits.forecast(context, candidates, is_new=not same.any())
    std = _judged(forecast.errors, same)
    typical = 0.0 if std is None else forecast.typical_std
    beyond = np.sqrt(np.maximum(forecast.log_std**2 - typical**2, 0.0))
    return _Forecast(CONTEXT_MODEL, forecast.log_mean, _predictive_stds(std, beyond), std, len(learned.runs))


def _predictive_stds(left_out_std: float | None, beyond: Floats) -> tuple[PredictiveStd, ...]:
    """Standard deviations from errors on runs left out, and what a candidate's distance from all runs adds to
    them, (X,)."""
    base = UNVALIDATED_WHOLE_RUN_LOG_STD if left_out_std is None else left_out_std
    log_stds = np.clip(np.hypot(base, beyond), WHOLE_RUN_LOG_STD_FLOOR, MAX_WHOLE_RUN_LOG_STD)
    return tuple(map(symmetric_std, log_stds.tolist()))


def _judged(errors: Floats, same: Bools) -> float | None:
    """Judge log errors (R,) by all runs; where there are enough in the same context, rather by those."""
    everywhere = left_out_std(errors)
    if everywhere is None:
        return None
    here = left_out_std(errors[same], everywhere)
    return everywhere if here is None else here


def _remark(runs: Sequence[RunRecord], same: Bools, context: RunContext, odd_runs: Sequence[OddRun]) -> str:
    """Remark for people on the runs behind a forecast: their contexts, and which are unlike the rest."""
    if not runs:
        return ""
    odd = "".join(f"; run {each.run_id} is unlike the others: {each.reason}" for each in odd_runs)
    here = int(same.sum())
    if here:
        return f"{here} of {len(runs)} earlier runs in this context{odd}"
    if all(run.context.machine_name != context.machine_name for run in runs):
        return f"no earlier run on machine type {context.machine_name!r}{odd}"
    return f"no earlier run in this context{odd}"


def _useful_remark(useful: int | None, candidates: Sequence[int]) -> str:
    if useful is None or useful >= max(candidates):
        return ""
    return f"; more than {useful} executors have no task to run"


def _most(*scale_outs: int | None) -> int | None:
    return max((each for each in scale_outs if each is not None), default=None)


def _counted(runs: int) -> str:
    return f"from {runs} {'run' if runs == 1 else 'runs'}"
