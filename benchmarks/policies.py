"""The service's policies, steering simulated runs.

Whoever steers is asked for the first scale-out of a run, and after each of its jobs. The policies are the
service's own objects (`prediction.policies`), and so are their forecasts; what is left out is the database
and the worker processes between them. Histories hold earlier runs only. `benchmarks.http_policy` asks a
running service instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

from common.settings.prediction import PredictionSettings
from prediction.first_choice import choose_first
from prediction.forecasts.by_curve import CurveRequest, forecast_with_curve
from prediction.forecasts.forecast import Forecast, ForecastRequest, forecast_with
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import WholeRunForecast, forecast_whole_run, whole_run_of
from prediction.policies.policy import Situation
from prediction.policies.registry import Policies
from training.history.values import JobRecord, RunRecord
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain
from training.statistics.predictive_std import symmetric_std


class Steering(Protocol):
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


class Forecasts(Protocol):
    """What a policy's forecasts are made by."""

    def learn(self, history: Sequence[RunRecord]) -> None:
        """Know these runs, oldest first, at least one."""
        ...

    def before_run(self) -> WholeRunForecast:
        """Of the run that follows them."""
        ...

    def during_run(self, run: RunRecord, scale_out: int) -> Forecast:
        """Of what is left of a run after its jobs so far."""
        ...


class ModelForecasts:
    """By a model that is pretrained again from time to time.

    Args:
        retrain_runs: Pretrains again after so many runs.
        fine_tune: Whether forecasts follow the run's own jobs.
        uncertain: Whether they say how sure they are, once the run has started.
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
    ) -> None:
        self._candidates = tuple(candidates)
        self._retrain_runs, self._max_epochs = retrain_runs, max_epochs
        self._fine_tune, self._uncertain, self._adjust = fine_tune, uncertain, adjust
        self._model: TrainedModel | None = None
        self._history: Sequence[RunRecord] = ()
        self._trained_on = 0

    def learn(self, history: Sequence[RunRecord]) -> None:
        self._history = list(history)
        if self._model is None or len(history) - self._trained_on >= self._retrain_runs:
            model = pretrain(history, Hyperparameters(), max_epochs=self._max_epochs)
            self._model = self._adjust(model) if self._adjust else model
            self._trained_on = len(history)

    def before_run(self) -> WholeRunForecast:
        return forecast_whole_run(self._history, self._model, self._history[-1].context, self._candidates)

    def during_run(self, run: RunRecord, scale_out: int) -> Forecast:
        assert self._model is not None, "it has learned from a history"
        tuned = self._fine_tune and bool(run.jobs)
        request = ForecastRequest({}, "", run, run.jobs[-1].job_id, scale_out, self._candidates, tuned)
        found = forecast_with(self._model, request)
        if self._uncertain:
            return found
        return replace(found, predictive_stds=(symmetric_std(0.0),) * len(found.candidates))


class CurveForecasts:
    """By curves over earlier runs."""

    def __init__(self, candidates: Sequence[int], method: Method) -> None:
        self._candidates, self._method = tuple(candidates), method
        self._history: tuple[RunRecord, ...] = ()

    def learn(self, history: Sequence[RunRecord]) -> None:
        self._history = tuple(history)

    def before_run(self) -> WholeRunForecast:
        found = self._after(-1)
        return whole_run_of(
            found, source=self._method.value, label=self._method.label, runs=len(self._history)
        )

    def during_run(self, run: RunRecord, scale_out: int) -> Forecast:
        return self._after(run.jobs[-1].job_id, run.jobs)

    def _after(self, job_id: int, jobs: tuple[JobRecord, ...] = ()) -> Forecast:
        context = self._history[-1].context
        return forecast_with_curve(
            CurveRequest(self._method, self._history, context, job_id, self._candidates, jobs)
        )


class Steered:
    """A policy of the service, by its `solution_name`.

    Args:
        once: The first choice of all is kept for all runs.
    """

    def __init__(
        self,
        solution_name: str,
        forecasts: Forecasts,
        settings: PredictionSettings | None = None,
        *,
        once: bool = False,
    ) -> None:
        self._policy = Policies(settings or PredictionSettings()).get(solution_name)
        self._forecasts = forecasts
        self._once, self._kept = once, 0
        self._asked = self._rescalings = 0
        self._memory: Mapping[str, Any] = {}
        self.decision_seconds: list[float] = []

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        if self._once and self._kept:
            return self._kept
        self._forecasts.learn(history)
        self._asked, self._rescalings, self._memory = 0, 0, {}
        self._kept = choose_first(self._policy, self._forecasts.before_run(), target_seconds).scale_out
        return self._kept

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        if not self._policy.rescales:
            return None
        started = perf_counter()
        found = self._forecasts.during_run(run, scale_out)
        if not found.job_ids:
            return None
        budget_seconds = target_seconds - run.jobs[-1].end_seconds
        situation = Situation(
            candidates=found.choices(budget_seconds),
            budget_seconds=budget_seconds,
            current_scale_out=scale_out,
            asked_scale_out=self._asked or scale_out,
            rescalings=self._rescalings,
            seen_scale_out=found.seen_scale_out,
            after_next_job_seconds=found.after_next_job_seconds,
            memory=self._memory,
        )
        choice = self._policy.next(situation)
        self.decision_seconds.append(perf_counter() - started)
        self._rescalings += choice.scale_out != situation.asked_scale_out
        self._asked, self._memory = choice.scale_out, choice.memory
        return choice.scale_out


class Fixed:
    """A scale-out that is given, such as the largest."""

    def __init__(self, scale_out: int) -> None:
        self._scale_out = scale_out

    def initial(self, history: Sequence[RunRecord], target_seconds: float) -> int:
        return self._scale_out

    def after_job(self, run: RunRecord, scale_out: int, target_seconds: float) -> int | None:
        return None


def ours(candidates: Sequence[int], settings: PredictionSettings | None = None, **options: Any) -> Steered:
    """The service's own policy and model; `options` are those of `ModelForecasts`."""
    return Steered("enel", ModelForecasts(candidates, **options), settings)


def ellis(candidates: Sequence[int]) -> Steered:
    """Ernest's curve per job; rescales where the remaining runtime would miss or undercut the target."""
    return Steered("ellis", CurveForecasts(candidates, Method.ERNEST_PER_JOB))


def static(candidates: Sequence[int], margin: float = 1.0) -> Steered:
    """One scale-out for all runs: Ernest's curve over the profiling runs' total runtimes."""
    settings = PredictionSettings(static_margin=margin)
    return Steered("static_margin", CurveForecasts(candidates, Method.ERNEST), settings, once=True)
