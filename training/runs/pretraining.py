"""Asking for trainings, and following them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from common.errors import Conflict, NoHistory
from common.executions.repository import ExecutionRepository
from training.kinds import Kinds, TrainableKind
from training.runs.documents import TrainingRun
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import TrainingSupervisor


class Pretraining:
    """What the routers call; `runs` answers questions, the supervisor does the work."""

    def __init__(
        self,
        runs: TrainingRunRepository,
        executions: ExecutionRepository,
        supervisor: TrainingSupervisor,
        kinds: Kinds[TrainableKind],
        trials: int | None = None,
        stopping: asyncio.Event | None = None,
        max_unfinished: int = 100,
    ) -> None:
        """Starts nothing yet.

        Args:
            trials: Of a training that does not say how many; None: as many as its kind wants.
            stopping: Ends every `follow`, for a service that stops; the trainings themselves go on later.
            max_unfinished: Trainings that one person may have waiting and under way.
        """
        self.runs = runs
        self._executions = executions
        self._supervisor = supervisor
        self._kinds = kinds
        self._trials = trials
        self._stopping = stopping or asyncio.Event()
        self._max_unfinished = max_unfinished

    async def start(
        self,
        *,
        system_name: str,
        algorithm_name: str,
        model_name: str,
        experiment_name: str,
        trials: int | None = None,
        requested_by: str | None = None,
        trigger: str = "request",
        run_id: str | None = None,
    ) -> TrainingRun:
        """Queue a training.

        Args:
            requested_by: Who asked for it, for the record.
            trigger: Or what did.
            run_id: That it is to have: to start it a second time answers the first one.
        Raises:
            ModelKindNotFound: There is no such kind of model.
            NoHistory: No finished run of the algorithm is known.
            Conflict: A training of this id is of another request, or whoever asks has as many that have
                not ended as one person may have.
        """
        kind = self._kinds.get(model_name)
        if not await self._executions.finished_runs(system_name, algorithm_name, limit=1):
            raise NoHistory(f"There is no finished run of {algorithm_name!r} to learn from yet.")
        is_known = run_id is not None and await self.runs.is_known(run_id)
        if (
            requested_by is not None
            and not is_known
            and await self.runs.count_unfinished(requested_by) >= self._max_unfinished
        ):
            raise Conflict(
                f"{self._max_unfinished} trainings of yours wait or are under way, as many as"
                " TRAINING_MAX_UNFINISHED allows: wait until one has ended, or cancel some."
            )
        run = await self.runs.enqueue(
            system_name=system_name,
            algorithm_name=algorithm_name,
            model_name=kind.name,
            experiment_name=experiment_name,
            trials=trials or self._trials or kind.default_trials,
            requested_by=requested_by,
            trigger=trigger,
            run_id=run_id,
        )
        self._supervisor.wake()
        return run

    async def cancel(self, run_id: str, by: str | None = None) -> TrainingRun:
        """Raises TrainingRunNotFound or Conflict; `by` is who asked, for the record."""
        run = await self.runs.request_cancel(run_id, by)
        self._supervisor.cancel(run_id)
        return run

    async def follow(self, run_id: str, poll_seconds: float = 0.3) -> AsyncIterator[TrainingRun]:
        """The run now and after every change, until it has ended or the service stops.

        Reads the stored run, so that it works wherever the training is carried out.

        Raises:
            TrainingRunNotFound: Before the first value.
        """
        seen: TrainingRun | None = None
        while True:
            run = await self.runs.get(run_id)
            # A heartbeat alone is no news.
            if seen is None or run.model_copy(update={"heartbeat_at": seen.heartbeat_at}) != seen:
                seen = run
                yield run
            if run.state.is_final or self._stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(poll_seconds):
                    await self._stopping.wait()
