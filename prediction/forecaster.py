"""Forecasts of a run, by the model, by similar runs or by curves, from a worker process."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from common.executions.documents import ApplicationExecution
from common.models.artifacts import StoreUnavailable
from common.models.versions import VersionElsewhere
from common.wire.specs import GlobalSpecs
from prediction.forecasts.by_curve import CurveRequest, forecast_with_curve
from prediction.forecasts.forecast import Forecast, nothing
from prediction.forecasts.learned_history import (
    MOST_HISTORIES,
    HistoryNeeded,
    HistoryQuestion,
    LearnRequest,
    answer_about,
    learn,
)
from prediction.forecasts.method import Method
from prediction.forecasts.whole_run import (
    MODEL,
    WholeRunForecast,
    WholeRunRequest,
    answer_whole_run,
    forecast_whole_run,
    whole_run_of,
)
from prediction.kinds.online_predictor import ONLINE_PREDICTOR, ForecastQuestion
from prediction.serving.models import Models, ServedModel
from prediction.serving.worker_pool import TimedAnswer, WorkerFailed, WorkerPool
from training.history.condensed import History
from training.history.digests import RunDigests
from training.history.values import JobRecord, RunContext, RunRecord

logger = logging.getLogger(__name__)

HISTORY_RUNS = 2000
"""Most recent runs that forecasts learn from: those in a context are few where an application has many.
A trained model holds what it needs of its own history."""


class Forecaster:
    """Finds the model or the history, and lets a worker compute; Ernest's curves stand in for a model."""

    def __init__(self, digests: RunDigests, models: Models, pool: WorkerPool) -> None:
        self._digests = digests
        self._models = models
        self._pool = pool
        self._asked: dict[tuple[str, str], None] = {}
        """Systems and algorithms whose histories were asked about, the latest last."""

    async def history(self, known: GlobalSpecs) -> History:
        """The algorithm's finished runs, oldest first."""
        self._asked.pop((known.system_name, known.algorithm_name), None)
        self._asked[known.system_name, known.algorithm_name] = None
        if len(self._asked) > MOST_HISTORIES:
            del self._asked[next(iter(self._asked))]
        return await self._digests.latest(known.system_name, known.algorithm_name, HISTORY_RUNS)

    async def prepare(self, completed: Sequence[ApplicationExecution]) -> None:
        """Have ready what questions will need of executions that have completed.

        Histories that somebody has asked about are learned anew by a worker, each once; others when they
        are asked about.
        """
        for execution in completed:
            await self._digests.prepare(execution.id)
        ended = {(each.global_specs.system_name, each.global_specs.algorithm_name) for each in completed}
        for system_name, algorithm_name in sorted(ended & self._asked.keys()):
            history = await self._digests.latest(system_name, algorithm_name, HISTORY_RUNS)
            try:
                await self._ask(learn, LearnRequest(), history)
            except WorkerFailed as error:
                logger.warning("The history of %s is not learned ahead: %s", algorithm_name, error)

    async def model_for(self, method: Method, known: GlobalSpecs) -> ServedModel | VersionElsewhere | None:
        """What answers `during_run`; None where no model does, and why the one that should cannot.

        Raises:
            StoreUnavailable: It cannot be read now.
        """
        if method is not Method.MODEL:
            return None
        try:
            return await self._models.find(known.system_name, known.algorithm_name, ONLINE_PREDICTOR)
        except VersionElsewhere as error:
            return error

    async def during_run(
        self,
        method: Method,
        model: ServedModel | VersionElsewhere | None,
        known: GlobalSpecs,
        run: RunRecord,
        candidates: tuple[int, ...],
        *,
        after_job_id: int,
        current_scale_out: int,
    ) -> Forecast:
        """What is left of a run; where the model fails, or lies in another store, by Ernest's curves, and
        `remark` says so.

        Args:
            model: As `model_for` says.
        Raises:
            WorkerFailed: The curves failed, too.
        """
        remark = ""
        if method is Method.MODEL:
            try:
                if isinstance(model, VersionElsewhere):
                    raise model
                return await self._by_model(model, known, run, candidates, after_job_id, current_scale_out)
            except (WorkerFailed, VersionElsewhere) as error:
                logger.warning("Execution %s: the model failed: %s", run.run_id, error)
                method, remark = Method.ERNEST_PER_JOB, f"the forecast failed: {error}"
        history = await self.history(known)
        found = await self._by_curve(method, history, run.context, candidates, after_job_id, run.jobs)
        return replace(found, remark=remark)

    async def before_run(
        self, method: Method, known: GlobalSpecs, context: RunContext, candidates: tuple[int, ...]
    ) -> WholeRunForecast:
        """A whole run; where forecasts fail, by Ernest's curves, and `reason` says so.

        `source` names the version if it is a model. A model that cannot be read now is done without: the
        history itself is at hand.

        Raises:
            WorkerFailed: The curves failed, too.
        """
        history, remark = await self.history(known), ""
        if method is Method.MODEL:
            try:
                return await self._by_whole_runs(known, history, context, candidates)
            except WorkerFailed as error:
                logger.warning("A first scale-out of %s by curves: %s", known.algorithm_name, error)
                method, remark = Method.ERNEST_PER_JOB, f"the forecast failed: {error}"
        if not history:
            return WholeRunForecast(reason=remark or f"no finished run of {known.algorithm_name} is known")
        found = await self._by_curve(method, history, context, candidates, -1)
        if not found.job_ids:
            return WholeRunForecast(reason=remark or found.reason)
        source = "ernest" if remark else known.solution_name
        found = replace(found, remark=remark)
        return whole_run_of(found, source=source, label=method.label, runs=len(history))

    async def _by_model(
        self,
        model: ServedModel | None,
        known: GlobalSpecs,
        run: RunRecord,
        candidates: tuple[int, ...],
        after_job_id: int,
        current_scale_out: int,
    ) -> Forecast:
        if model is None:
            return nothing(candidates, f"no model is trained for {known.algorithm_name!r} yet")
        question = ForecastQuestion(run, after_job_id, current_scale_out, candidates)
        answered = await self._models.ask_version(model, ONLINE_PREDICTOR, question)
        found: Forecast = answered.answer
        return replace(found, source=answered.version.id, wait_seconds=answered.wait_seconds)

    async def _by_whole_runs(
        self,
        known: GlobalSpecs,
        history: History,
        context: RunContext,
        candidates: tuple[int, ...],
    ) -> WholeRunForecast:
        """By whatever knows such runs best."""
        try:
            model = await self._models.find(known.system_name, known.algorithm_name, ONLINE_PREDICTOR)
        except StoreUnavailable as error:
            logger.warning(
                "A first scale-out of %s is chosen without a model: %s", known.algorithm_name, error
            )
            model = None
        if model is None and not history:  # a worker may still be starting, and has nothing to add
            return forecast_whole_run((), None, context, candidates)
        request = WholeRunRequest(
            history=(),
            context=context,
            candidates=candidates,
            files=dict(model.files) if model else None,
            artifact_key=model.version.artifact_key if model else "",
        )
        found: WholeRunForecast = (await self._ask(answer_whole_run, request, history)).answer
        return replace(found, source=model.version.id) if model and found.source == MODEL else found

    async def _by_curve(
        self,
        method: Method,
        history: History,
        context: RunContext,
        candidates: tuple[int, ...],
        after_job_id: int,
        jobs: tuple[JobRecord, ...] = (),
    ) -> Forecast:
        """By curves over earlier runs; `source` is whose they are."""
        request = CurveRequest(
            method=method,
            history=(),
            context=context,
            after_job_id=after_job_id,
            candidates=candidates,
            jobs=jobs,
        )
        source = "ernest" if method is Method.ERNEST_PER_JOB else method.value
        answered = await self._ask(forecast_with_curve, request, history)
        found: Forecast = answered.answer
        return replace(found, source=source, wait_seconds=answered.wait_seconds)

    async def _ask(self, function: Callable[[Any], Any], request: Any, history: History) -> TimedAnswer[Any]:
        """Ask a worker, which has the history already, or is sent it."""
        waited = 0.0
        for sent in (None, history):
            question = HistoryQuestion(function, request, history.key, sent)
            answered = await self._pool.run_timed(answer_about, question)
            waited += answered.wait_seconds
            if not isinstance(answered.answer, HistoryNeeded):
                break
        return replace(answered, wait_seconds=waited)
