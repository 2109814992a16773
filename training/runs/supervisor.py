"""Carries out queued trainings, one at a time, each in a child process.

The stored run is the truth: this loop claims runs, passes on what the child reports, and finds
runs whose service died. A dead run starts over, and so does one whose history could not be read; after three
starts it has failed. One whose child was killed is tried once more: what took the memory may be gone by then;
so is one that has lost its Ray cluster. One that takes too long has failed: others wait behind it. What is
learned from, and by which child, the model's kind says. The trained model is handed to the publisher.
"""

import asyncio
import contextlib
import logging
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from pymongo.errors import PyMongoError

from common.clocks import Unchanged
from common.disks import is_of_the_disk, why_not_written
from common.errors import ModelKindNotFound, ServiceError
from common.instruments import Instruments, unscraped
from common.loops import BackOff, Loop, until_done
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, NewVersion, model_name
from common.mongo.stored import UnreadableDocument
from common.processes.children import (
    how_it_was_killed,
    read_events,
    read_files,
    tail,
    was_killed,
    write_request,
)
from common.processes.environment import computing_environment
from common.processes.guarded import GuardedProcess, owner_is_dead, service_identity
from common.processes.private_files import open_private
from common.processes.ray_access import RayAccess
from common.settings.group import PROJECT_ROOT
from common.settings.training import TrainingSettings
from training.kinds import Kinds, TrainableKind, TrainingFailed
from training.runs.documents import TrainingRun, TrainingState
from training.runs.progress import Progress
from training.runs.publishing import Publisher, new_version
from training.runs.repository import TrainingRunRepository

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ATTEMPTS = 3
"""Starts of one training, counting those that a dying service cut short."""

MAX_KILLED = 2
"""Attempts of one training whose child was killed: the next would most likely end like that, too."""

MISSED_HEARTBEATS = 5
"""After these a training counts as dead."""

PUBLISHING_SILENCE_SECONDS = 600.0
"""After these, what a silent service has trained but not published counts as lost. Long: the model is
on that service's disk, and the service may only be restarting."""


class TrainingSupervisor:
    """Carries out trainings one at a time; `loop` is to run while the service does."""

    def __init__(
        self,
        runs: TrainingRunRepository,
        registry: ModelRegistry,
        kinds: Kinds[TrainableKind],
        publisher: Publisher,
        settings: TrainingSettings,
        data_dir: Path,
        instruments: Instruments | None = None,
        cluster: RayAccess | None = None,
    ) -> None:
        """Starts nothing yet.

        Args:
            cluster: Where trials run; None: on this machine.
        """
        self._runs = runs
        self._registry = registry
        self._kinds = kinds
        self.publisher = publisher
        self._settings = settings
        self._instruments = instruments or unscraped()
        self._cluster = cluster or RayAccess()
        self._folder = data_dir / "training"
        self._owner = service_identity()
        self._wake = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._current: str | None = None
        self._ends_at = 0.0
        self._heartbeats = Unchanged()
        """By run, as this service sees them."""

    def wake(self) -> None:
        """A run was queued: look now instead of at the next turn."""
        self._wake.set()

    def cancel(self, run_id: str) -> None:
        """End the child at once if it is this run's; elsewhere the owner's next heartbeat sees it."""
        if self._current == run_id:
            self._cancelled.set()
        self.publisher.wake()

    def loop(self) -> Loop:
        """Carries out what is queued; it looks at every heartbeat, and when a run is queued here."""
        pause_seconds = self._settings.training_heartbeat_seconds
        return Loop("trainings", self._turn, pause_seconds, expected=(PyMongoError,), wake=self._wake)

    async def _turn(self) -> float | None:
        """Carry out one run; after one, seconds until the next."""
        await self.recover_dead()
        run = await self._claim()
        if run is None:
            return None
        await self._carry_out(run)
        return 0.0

    async def _claim(self) -> TrainingRun | None:
        """Take a queued run; one that was taken while the service was being stopped is given back."""
        claiming = asyncio.ensure_future(self._runs.claim(self._owner))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                if (run := await claiming) is not None:
                    await self._give_back(run)
            raise

    async def _give_back(self, run: TrainingRun) -> None:
        detail = "the service was stopped; it starts over"
        await self._runs.give_back(run.id, self._owner, run.attempts, detail)

    async def recover_dead(self) -> None:
        """Queue again, or give up, runs whose service has died."""
        kept = await self.publisher.kept()  # first: what is published meanwhile is not in progress
        runs = await self._runs.in_progress()
        self._heartbeats.keep({run.id for run in runs})
        for run in runs:
            if run.artifact_id in kept or not self._is_dead(run):
                continue
            owner = run.owner or ""
            detail = f"the service that ran it stopped during attempt {run.attempts}"
            if run.cancel_requested:
                await self._runs.finish(run.id, owner, TrainingState.CANCELLED, "cancelled on request")
            elif run.attempts >= MAX_ATTEMPTS:
                await self._runs.finish(run.id, owner, TrainingState.FAILED, detail)
            else:
                await self._runs.put_back(run.id, owner, f"{detail}; it starts over")
            logger.warning("Training %s: %s", run.id, detail)

    def _is_dead(self, run: TrainingRun) -> bool:
        silent_seconds = self._heartbeats.seconds(run.id, (run.owner, run.heartbeat_at))
        if run.owner == self._owner:
            return True  # this service works on one at a time, and looks between two
        if run.state is TrainingState.PUBLISHING:
            return silent_seconds > PUBLISHING_SILENCE_SECONDS
        silent = silent_seconds > MISSED_HEARTBEATS * self._settings.training_heartbeat_seconds
        return silent or owner_is_dead(run.owner or "")

    async def _carry_out(self, run: TrainingRun) -> None:
        folder = self._folder / run.id
        self._current = run.id
        self._cancelled.clear()
        self._ends_at = time.monotonic() + self._settings.training_max_seconds
        logger.info("Training %s of %s starts (attempt %d)", run.id, run.algorithm_name, run.attempts)
        try:
            new, files = await self._train(run, folder)
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                await self._give_back(run)
            raise
        except _Cancelled:
            await self._finish(run, TrainingState.CANCELLED, "cancelled on request")
            logger.info("Training %s was cancelled", run.id)
        except _Lost:
            logger.warning("Training %s was taken over by another service", run.id)
        except _Killed as killed:
            await self._try_again(run, str(killed))
        except PyMongoError as error:  # of the history: outcomes are stored however long that takes
            await self._start_over(run, type(error).__name__)
        except Exception as error:
            detail, is_known = _why_failed(error)
            await self._finish(run, TrainingState.FAILED, detail[:4000])
            logger.error("Training %s failed: %s", run.id, detail, exc_info=not is_known)
        else:
            await self._hand_over(run, new, files)
        finally:
            self._current = None
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _hand_over(self, run: TrainingRun, new: NewVersion, files: dict[str, bytes]) -> None:
        try:
            await self.publisher.keep(new, files)
        except ServiceError as error:  # above all: this service's own disk is full
            logger.error("Training %s: its model cannot be kept: %s", run.id, error)
            await self._finish(run, TrainingState.FAILED, f"The model cannot be kept: {error}"[:4000])
            return
        await self._patiently(
            run, lambda: self._runs.take_for_publishing(run.id, new.artifact_id, self._owner)
        )
        self.publisher.wake()
        logger.info("Training %s has a model; it is published next", run.id)

    async def _try_again(self, run: TrainingRun, how: str) -> None:
        """Queue a run again whose child was killed, or give it up; either tells of all such attempts."""
        killed = [*run.killed, f"attempt {run.attempts}: {how}"]
        await self._patiently(run, lambda: self._runs.report(run.id, self._owner, {"killed": killed}))
        if len(killed) >= MAX_KILLED or run.attempts >= MAX_ATTEMPTS:
            detail = "; ".join(killed)[:4000]
            await self._finish(run, TrainingState.FAILED, detail)
            logger.error("Training %s failed: %s", run.id, detail)
            return
        detail = f"{killed[-1]}; it is tried once more"[:4000]
        await self._patiently(run, lambda: self._runs.put_back(run.id, self._owner, detail))
        logger.warning("Training %s: %s", run.id, detail)

    async def _start_over(self, run: TrainingRun, error: str) -> None:
        """Queue a run again whose history could not be read, or give it up."""
        why = f"the history could not be read in attempt {run.attempts}: {error}"
        logger.warning("Training %s: %s", run.id, why)
        if run.attempts >= MAX_ATTEMPTS:
            await self._finish(run, TrainingState.FAILED, why)
            return
        detail = f"{why}; it starts over"
        await self._patiently(run, lambda: self._runs.put_back(run.id, self._owner, detail))

    async def _finish(self, run: TrainingRun, state: TrainingState, detail: str) -> None:
        await self._patiently(run, lambda: self._runs.finish(run.id, self._owner, state, detail))

    async def _patiently(self, run: TrainingRun, store: Callable[[], Awaitable[object]]) -> None:
        """Store the outcome, however long MongoDB is away: minutes of work hang on it."""
        pause_seconds = self._settings.training_heartbeat_seconds
        back_off = BackOff(pause_seconds, pause_seconds)
        await until_done(f"The outcome of training {run.id}", store, back_off, (PyMongoError,))

    async def _train(self, run: TrainingRun, folder: Path) -> tuple[NewVersion, dict[str, bytes]]:
        kind, progress = self._kind(run), Progress(self._instruments)
        collecting = kind.collect(
            run.system_name,
            run.algorithm_name,
            trials=run.trials_total,
            champion=await self._champion(run),
        )
        material = await self._while_alive(run, collecting, progress)
        learned_from = material.training_data
        progress.fields |= {"history_runs": learned_from.runs, "history_jobs": learned_from.jobs}
        progress.lines += material.log
        await self._tell(run, progress)
        await asyncio.to_thread(write_request, folder, dict(material.request))
        entering = await asyncio.to_thread(self._cluster.variables, folder)

        with open_private(folder / "stderr.log") as stderr:
            process = await GuardedProcess.start(
                *(sys.executable, "-m", kind.module, str(folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**computing_environment(), **entering, "PYTHONPATH": str(PROJECT_ROOT)},
                grace_seconds=3.0,  # a search that is ended has nothing to save
            )
        try:
            await self._while_alive(run, read_events(process.stdout, progress.add), progress)
            code = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                await self._give_back(run)  # before the child ends: others may take the silence for a death
            raise
        finally:
            await process.stop()
        await self._tell_rest(run, progress)
        if progress.error is None and was_killed(code):
            raise _Killed(how_it_was_killed(tail(folder / "stderr.log", 500)))
        if progress.error is not None and progress.again:
            raise _Killed(progress.error)
        if progress.error is None and code != 0 and self._cluster.address:
            raise _Killed(self._cluster.how_it_was_lost(tail(folder / "stderr.log", 500)))
        if code != 0 or progress.result is None:
            raise TrainingFailed(progress.error or f"exit code {code}: {tail(folder / 'stderr.log')}")

        files = await asyncio.to_thread(read_files, folder / "artifact")
        facts = kind.facts(files, progress.result)
        new = new_version(
            run,
            files,
            schema_version=facts.schema_version,
            hyperparameters=facts.hyperparameters,
            validation=facts.validation,
            training_data=learned_from,
        )
        return new, files

    def _kind(self, run: TrainingRun) -> TrainableKind:
        try:
            return self._kinds.get(run.model_name)
        except ModelKindNotFound as error:  # a newer version of the service has queued it
            raise TrainingFailed(f"This service cannot train such models: {error}") from error

    async def _champion(self, run: TrainingRun) -> ModelVersion | None:
        """The version that the trained one will be compared with."""
        try:
            return await self._registry.find_champion(
                model_name(run.system_name, run.algorithm_name, run.model_name)
            )
        except UnreadableDocument:  # whatever is trained now takes its place
            return None

    async def _while_alive(self, run: TrainingRun, work: Coroutine[Any, Any, T], progress: Progress) -> T:
        """What some work returns; meanwhile a heartbeat, with what has been reported, every second or so.

        Raises:
            _Cancelled, _Lost: The run is to end, or another service holds it; the work was cancelled.
            TrainingFailed: The attempt has taken too long.
        """
        working, cancelled = asyncio.create_task(work), asyncio.create_task(self._cancelled.wait())
        try:
            while True:
                done, _ = await asyncio.wait(
                    {working, cancelled},
                    timeout=min(1.0, self._settings.training_heartbeat_seconds),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if cancelled in done:
                    raise _Cancelled
                await self._tell(run, progress)
                if working in done:
                    return await working
                if time.monotonic() > self._ends_at:
                    limit = self._settings.training_max_seconds
                    raise TrainingFailed(f"It took longer than TRAINING_MAX_SECONDS allows ({limit:g} s).")
        finally:
            working.cancel()
            cancelled.cancel()

    async def _tell(self, run: TrainingRun, progress: Progress) -> None:
        fields, lines = progress.take()
        try:
            stored = await self._runs.report(run.id, self._owner, fields, lines)
        except PyMongoError as error:
            # The search goes on; its progress is told with a later heartbeat, its result at the end.
            logger.warning("Training %s: progress was not stored: %s", run.id, type(error).__name__)
            progress.put_back(fields, lines)
            return
        if stored is None:
            raise _Lost
        if stored.cancel_requested:
            raise _Cancelled

    async def _tell_rest(self, run: TrainingRun, progress: Progress) -> None:
        """What no heartbeat has told, as MongoDB was away: no other will follow."""
        fields, lines = progress.take()
        if fields or lines:
            await self._patiently(run, lambda: self._runs.report(run.id, self._owner, fields, lines))


def _why_failed(error: Exception) -> tuple[str, bool]:
    """For whoever asked, and whether that says all there is to say."""
    if isinstance(error, TrainingFailed):
        return str(error), True
    if isinstance(error, OSError) and is_of_the_disk(error):
        return why_not_written(error, "DATA_DIR"), True
    return f"{type(error).__name__}: {error}", False


class _Cancelled(Exception):
    pass


class _Killed(Exception):
    """The child was ended by a signal that leaves it no last word, or by what it depends on."""


class _Lost(Exception):
    """Another service holds the run now."""
