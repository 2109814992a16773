"""Measures runs that have ended, and watches the models that serve; a drift may lead to a training."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.instruments import Instruments, unscraped
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion
from common.mongo.document import utc_now
from submission.accuracy.documents import RunAccuracy
from submission.accuracy.drift import Band, drift_of
from submission.accuracy.measure import measure
from submission.accuracy.repository import AccuracyRepository
from training.runs.pretraining import Pretraining

logger = logging.getLogger(__name__)

_GRACE = timedelta(seconds=30)
"""After the end of a run: the reports of its last jobs may still be under way."""

_RUNS_AT_ONCE = 50


class AccuracyWatch:
    """Looks at what has ended; `tick` is to be called from time to time, by any number of services.

    Args:
        prepare_history: Called with executions that have completed, once with each, to have ready what is
            learned from them.
    """

    def __init__(
        self,
        executions: ExecutionRepository,
        registry: ModelRegistry,
        accuracies: AccuracyRepository,
        pretraining: Pretraining,
        band: Band,
        *,
        train_on_drift: bool = False,
        instruments: Instruments | None = None,
        prepare_history: Callable[[Sequence[ApplicationExecution]], Awaitable[None]] | None = None,
    ) -> None:
        self.accuracies = accuracies
        self.band = band
        self._executions = executions
        self._registry = registry
        self._pretraining = pretraining
        self._train_on_drift = train_on_drift
        self._instruments = instruments or unscraped()
        self._prepare_history = prepare_history

    async def tick(self) -> None:
        """Measure what has ended since the last time; measuring it twice changes nothing."""
        algorithms: set[str] = set()
        completed: list[ApplicationExecution] = []
        for execution in await self._executions.unmeasured(utc_now() - _GRACE, _RUNS_AT_ONCE):
            found = await self._measure(execution)
            if found:
                algorithms.add(execution.global_specs.algorithm_name)
            if await self._executions.record_measured(execution.id):  # else another service has counted it
                self._count(execution, found)
                if execution.state is ApplicationState.COMPLETED:
                    completed.append(execution)
        for algorithm_name in sorted(algorithms):
            await self._look_at(algorithm_name)
        if self._prepare_history and completed:
            await self._prepare_history(completed)

    async def drifts(self, algorithm_name: str | None = None) -> list[tuple[ModelVersion, str]]:
        """Champions that have left their band, and why."""
        models = await self._registry.models(algorithm_name=algorithm_name, limit=0)
        champions = (await self._registry.champions(models)).values()
        observed = await self.accuracies.observed([each.id for each in champions])
        whys = [(each, drift_of(each, observed.get(each.id), self.band)) for each in champions]
        return [(champion, why) for champion, why in whys if why]

    async def _measure(self, execution: ApplicationExecution) -> list[RunAccuracy]:
        if execution.state is not ApplicationState.COMPLETED:
            return []  # its jobs and decisions need not be read for that
        jobs = await self._executions.job_summaries(execution.id, execution.application_id)
        decisions = await self._executions.decisions(execution.id)
        found = measure(execution, jobs, decisions)
        for each in found:
            await self.accuracies.store(each)
        return found

    def _count(self, execution: ApplicationExecution, found: list[RunAccuracy]) -> None:
        self._instruments.count_ended_run(execution.target_met)
        for each in found:
            missed = each.with_interval - each.covered
            self._instruments.count_accuracy(each.model_key, each.error, held=each.covered, missed=missed)

    async def _look_at(self, algorithm_name: str) -> None:
        for champion, why in await self.drifts(algorithm_name):
            logger.warning("%s has drifted: %s", champion.id, why)
            if self._train_on_drift:
                await self._train(champion)

    async def _train(self, champion: ModelVersion) -> None:
        """Once for each version: what comes of it is for the promotion gate to say."""
        trigger = f"drift of version {champion.version}"
        runs = self._pretraining.runs
        if await runs.has_unfinished(champion.system_name, champion.algorithm_name):
            return
        if await runs.was_triggered(champion.algorithm_name, trigger):
            return
        await self._pretraining.start(
            system_name=champion.system_name,
            algorithm_name=champion.algorithm_name,
            model_name=champion.kind,
            experiment_name=champion.experiment_name,
            trigger=trigger,
        )
