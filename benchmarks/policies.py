"""Policies that choose scale-outs of simulated runs: the service's own, corrected Ellis, and static ones.

A policy is asked for the first scale-out of a run, and after each of its jobs. Histories hold
earlier runs only. A policy that talks to a running service over HTTP fits the same interface.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol, cast

import numpy as np

from common.settings.prediction import PredictionSettings
from common.wire.specs import ApplicationSpecs
from prediction.forecasts.candidate import RuntimeForecast
from prediction.forecasts.curves import fit_ernest
from prediction.forecasts.forecast import Forecast, ForecastRequest, forecast_with
from prediction.forecasts.forecaster import Forecaster, options
from prediction.forecasts.whole_run import WholeRunForecast, forecast_whole_run
from prediction.initial import InitialScaleOutChooser
from prediction.policies.ellis import AIM, HIGHEST, LOWEST
from prediction.policies.rule import rule_of
from prediction.policies.scale_out import choose_scale_out
from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain
from training.statistics.arrays import Floats


class Policy(Protocol):
    """Chooses scale-outs for one application and one target; made anew for every sequence of runs."""

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        """Scale-out that a run starts with."""
        ...

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        """Scale-out to ask for, None for no request.

        Args:
            run: Its jobs so far, at least one.
            scale_out: In effect when the last of them ended.
        """
        ...


def smallest_within(candidates: Sequence[int], seconds: Floats, limit: float) -> int:
    """The smallest scale-out predicted to stay below the limit, otherwise the fastest."""
    fitting = np.flatnonzero(seconds < limit)
    return candidates[int(fitting[0]) if len(fitting) else int(np.argmin(seconds))]


class Static:
    """One scale-out for all runs: Ernest's curve over the profiling runs' total runtimes."""

    def __init__(self, candidates: Sequence[int], margin: float = 1.0) -> None:
        self._candidates, self._margin = tuple(candidates), margin
        self._chosen: int | None = None

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        if self._chosen is None:
            curve = fit_ernest(
                [run.jobs[0].start_scale_out for run in history],
                [run.runtime_seconds or 0 for run in history],
            )
            predicted = curve.predict(self._candidates)
            self._chosen = smallest_within(self._candidates, predicted, self._margin * target_seconds)
        return self._chosen

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        return None


class Fixed:
    """A scale-out that is given, such as the largest."""

    def __init__(self, scale_out: int) -> None:
        self._scale_out = scale_out

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        return self._scale_out

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        return None


class Ellis:
    """Ernest's curve per job; rescales where the rest of the run would miss or undercut the target.

    The published rule: what follows the next job, at the scale-out in effect, may take 1.05 of the
    time then left, and should take 0.85 of it; otherwise the smallest scale-out that stays within
    0.9 of it is asked for, or the fastest. Corrected: the request names that scale-out, and not
    the one that the run already has.

    Source: Thamsen et al., Ellis: Dynamically Scaling Distributed Dataflows to Meet Runtime Targets,
    CloudCom 2017.
    """

    def __init__(self, candidates: Sequence[int]) -> None:
        self._candidates = tuple(candidates)
        self._runtimes = np.zeros((0, 0))

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        jobs = max(len(run.jobs) for run in history)
        columns = []
        for job in range(jobs):
            points = [run.jobs[job] for run in history if len(run.jobs) > job]
            curve = fit_ernest([p.end_scale_out for p in points], [p.runtime_seconds for p in points])
            columns.append(curve.predict(self._candidates))
        self._runtimes = np.stack(columns, axis=1)
        return smallest_within(self._candidates, self._runtimes.sum(axis=1), target_seconds)

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        done = len(run.jobs)
        if done + 1 >= self._runtimes.shape[1]:
            return None
        now = self._candidates.index(scale_out)
        later = self._runtimes[:, done + 1 :].sum(axis=1)
        left = target_seconds - run.jobs[-1].end_seconds - float(self._runtimes[now, done])
        if LOWEST * left <= later[now] <= HIGHEST * left:
            return None
        return smallest_within(self._candidates, later, AIM * left)


class OwnDecisions:
    """The service's own decisions: its first choice, its forecasts, its rule and its defaults.

    Args:
        retrain_runs: Pretrains again after so many runs.
        fine_tune: Whether forecasts follow the run's own jobs.
        uncertain: Whether choices see the forecasts' uncertainty.
        adjust: Whether the trained model is changed before use, for ablations.
    """

    def __init__(
        self,
        candidates: Sequence[int],
        *,
        retrain_runs: int = 5,
        max_epochs: int = 15,
        fine_tune: bool = True,
        uncertain: bool = True,
        adjust: Callable[[TrainedModel], TrainedModel] | None = None,
        settings: PredictionSettings | None = None,
    ) -> None:
        self._candidates = tuple(candidates)
        self._retrain_runs, self._max_epochs = retrain_runs, max_epochs
        self._fine_tune, self._uncertain, self._adjust = fine_tune, uncertain, adjust
        self._settings = settings or PredictionSettings()
        self._model: TrainedModel | None = None
        self._trained_on = 0
        self._asked = self._rescalings = 0
        self.decision_seconds: list[float] = []

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        if self._model is None or len(history) - self._trained_on >= self._retrain_runs:
            model = pretrain(history, Hyperparameters(), max_epochs=self._max_epochs)
            self._model = self._adjust(model) if self._adjust else model
            self._trained_on = len(history)
        self._asked = self._rescalings = 0
        answers = cast(Forecaster, _Answers(self._model, history))
        context = history[-1].context
        chosen = asyncio.run(
            InitialScaleOutChooser(answers, self._settings).choose(
                _specs(context.algorithm_name, self._candidates, target_seconds)
            )
        )
        return chosen.scale_out

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        started = perf_counter()
        found = self.forecast(run, run.jobs[-1].job_id, scale_out)
        if not found.job_ids:
            return None
        choices = options(found)
        if not self._uncertain:
            choices = [RuntimeForecast(c.scale_out, c.remaining_seconds) for c in choices]
        choice = choose_scale_out(
            choices,
            target_seconds - run.jobs[-1].end_seconds,
            rule_of(self._settings),
            current_scale_out=scale_out,
            asked_scale_out=self._asked,
            rescalings=self._rescalings,
        )
        self.decision_seconds.append(perf_counter() - started)
        chosen = choice.forecast.scale_out
        self._rescalings += chosen != (self._asked or scale_out)
        self._asked = chosen
        return chosen

    def forecast(self, run: RunRecord, after_job_id: int, scale_out: int) -> Forecast:
        assert self._model is not None
        tuned = self._fine_tune and bool(run.jobs)
        request = ForecastRequest({}, "", run, after_job_id, scale_out, self._candidates, tuned)
        return forecast_with(self._model, request)


class _Answers:
    """Stands in for the service's forecaster, without a database and worker processes."""

    def __init__(self, model: TrainedModel, history: Sequence[RunRecord]) -> None:
        self._model, self._history = model, list(history)

    async def history(self, known: Any) -> list[RunRecord]:
        return self._history

    async def whole_run(
        self, known: Any, history: Sequence[RunRecord], context: Any, candidates: tuple[int, ...]
    ) -> WholeRunForecast:
        return forecast_whole_run(history, self._model, self._history[-1].context, candidates)


def _specs(name: str, candidates: Sequence[int], target_seconds: float) -> ApplicationSpecs:
    known = {
        "experiment_name": "benchmark",
        "algorithm_name": name,
        "data_size_MB": 1,
        "min_scale_out": min(candidates),
        "max_scale_out": max(candidates),
        "max_runtime": target_seconds,
    }
    return ApplicationSpecs.model_validate(
        {"global_specs": known, "worker_specs": {"scale_out": max(candidates)}}
    )
