"""Carries out queued trainings, one at a time, each in a child process.

The stored run is the truth: this loop claims runs, passes on what the child reports, and finds
runs whose service died. A dead run starts over; after three starts it has failed.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pymongo.errors import PyMongoError

from common.artifacts import ArtifactStore
from common.configuration import PROJECT_ROOT, TrainingSettings
from common.executions import ExecutionRepository
from common.processes import GuardedProcess
from training.history import RunRecord, history_to_json
from training.records import to_run_record
from training.runs import TrainingResult, TrainingRun, TrainingRunRepository, TrainingState, is_stale

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Starts of one training, counting those that a dying service cut short."""


def service_identity() -> str:
    """Host, process id and process start: another process never has the same."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def owner_is_dead(owner: str) -> bool:
    """Whether an owner on this host is known not to run any more."""
    host, pid, created = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != created
    except psutil.NoSuchProcess:
        return True


class TrainingFailed(Exception):
    """The child could not train; the message is for the person who asked."""


@dataclass
class _Progress:
    """What the child has reported since the last heartbeat."""

    fields: dict[str, Any]
    lines: list[str]
    result: dict[str, Any] | None = None
    error: str | None = None

    def add(self, event: dict[str, Any]) -> None:
        match event.get("event"):
            case "log":
                self.lines.append(str(event.get("line", "")))
            case "trial":
                self.fields |= {"trials_done": event["done"], "trials_total": event["total"]}
                if event.get("best_loss") is not None:
                    self.fields["best_loss"] = event["best_loss"]
                loss = event.get("loss")
                shown = "no loss" if loss is None else f"loss {loss:.4f}"
                self.lines.append(
                    f"trial {event['done']}/{event['total']}: {shown} {event.get('hyperparameters', '')}"
                )
            case "result":
                self.result = event
            case "error":
                self.error = str(event.get("message", "unknown error"))

    def take(self) -> tuple[dict[str, Any], list[str]]:
        taken = self.fields, self.lines
        self.fields, self.lines = {}, []
        return taken


class TrainingSupervisor:
    """Runs while the service does; `run_forever` is its task."""

    def __init__(
        self,
        runs: TrainingRunRepository,
        executions: ExecutionRepository,
        artifacts: ArtifactStore,
        settings: TrainingSettings,
        data_dir: Path,
    ) -> None:
        self._runs = runs
        self._executions = executions
        self._artifacts = artifacts
        self._settings = settings
        self._folder = data_dir / "training"
        self._owner = service_identity()
        self._wake = asyncio.Event()
        self._cancelled = asyncio.Event()
        self._current: str | None = None

    def wake(self) -> None:
        """A run was queued: look now instead of at the next turn."""
        self._wake.set()

    def cancel(self, run_id: str) -> None:
        """End the child at once if it is this run's; elsewhere the owner's next heartbeat sees it."""
        if self._current == run_id:
            self._cancelled.set()

    async def run_forever(self) -> None:
        while True:
            try:
                await self.recover_dead()
                run = await self._runs.claim(self._owner)
                if run is not None:
                    await self._carry_out(run)
                    continue
            except PyMongoError as error:
                logger.warning("Trainings wait for MongoDB: %s", type(error).__name__)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.training_heartbeat_seconds):
                    await self._wake.wait()

    async def recover_dead(self) -> None:
        """Queue again, or give up, runs whose service has died."""
        for run in await self._runs.running():
            owner = run.owner or ""
            if owner != self._owner and not (
                owner_is_dead(owner) or is_stale(run, self._settings.training_heartbeat_seconds)
            ):
                continue
            detail = f"the service that ran it stopped during attempt {run.attempts}"
            if run.cancel_requested:
                await self._runs.finish(run.id, owner, TrainingState.CANCELLED, "cancelled on request")
            elif run.attempts >= MAX_ATTEMPTS:
                await self._runs.finish(run.id, owner, TrainingState.FAILED, detail)
            else:
                await self._runs.put_back(run.id, owner, f"{detail}; it starts over")
            logger.warning("Training %s: %s", run.id, detail)

    async def _carry_out(self, run: TrainingRun) -> None:
        folder = self._folder / run.id
        self._current = run.id
        self._cancelled.clear()
        logger.info("Training %s of %s starts (attempt %d)", run.id, run.algorithm_name, run.attempts)
        try:
            result = await self._train(run, folder)
        except asyncio.CancelledError:
            with contextlib.suppress(PyMongoError):
                await self._runs.give_back(
                    run.id, self._owner, run.attempts, "the service was stopped; it starts over"
                )
            raise
        except _Cancelled:
            await self._finish(run, TrainingState.CANCELLED, "cancelled on request")
            logger.info("Training %s was cancelled", run.id)
        except _Lost:
            logger.warning("Training %s was taken over by another service", run.id)
        except PyMongoError:
            raise  # nothing can be stored now; the run counts as dead after its last heartbeat
        except Exception as error:
            detail = str(error) if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {error}"
            await self._finish(run, TrainingState.FAILED, detail[:4000])
            logger.error(
                "Training %s failed: %s", run.id, detail, exc_info=not isinstance(error, TrainingFailed)
            )
        else:
            await self._finish(run, TrainingState.SUCCEEDED, "", result)
            logger.info("Training %s finished: %s", run.id, result.artifact_key)
        finally:
            self._current = None
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _finish(
        self, run: TrainingRun, state: TrainingState, detail: str, result: TrainingResult | None = None
    ) -> None:
        """Store the outcome, however long MongoDB is away: minutes of work hang on it."""
        while True:
            try:
                return await self._runs.finish(run.id, self._owner, state, detail, result)
            except PyMongoError as error:
                logger.warning("Training %s: the outcome is not stored yet: %s", run.id, type(error).__name__)
                await asyncio.sleep(self._settings.training_heartbeat_seconds)

    async def _train(self, run: TrainingRun, folder: Path) -> TrainingResult:
        history = await self._read_history(run)
        if not history:
            raise TrainingFailed("The history has gone since this training was asked for.")
        fields = {"history_runs": len(history), "history_jobs": sum(len(record.jobs) for record in history)}
        await self._report(run, fields, [f"learning from {fields['history_runs']} runs"])
        request = {
            "history": history_to_json(history),
            "trials": run.trials_total,
            "max_concurrent": self._settings.training_concurrent_trials,
            "seed": self._settings.training_seed,
        }
        await asyncio.to_thread(_write_request, folder, request)

        progress = _Progress({}, [])
        with (folder / "stderr.log").open("wb") as stderr:
            process = await GuardedProcess.start(
                *(sys.executable, "-m", "training.search_process", str(folder)),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**_environment(), "PYTHONPATH": str(PROJECT_ROOT)},
                grace_seconds=3.0,  # a search that is ended has nothing to save
            )
        try:
            code = await self._follow(run, process, progress)
        finally:
            await process.stop()
        if code != 0 or progress.result is None:
            raise TrainingFailed(progress.error or f"exit code {code}: {_tail(folder / 'stderr.log')}")

        files = await asyncio.to_thread(_read_files, folder / "artifact")
        key = f"pretrained_models/{run.system_name}/{run.algorithm_name}/{run.model_name}/{run.id}"
        await self._artifacts.write(key, files)
        return TrainingResult(
            artifact_key=key,
            hyperparameters=progress.result.get("hyperparameters", {}),
            validation=progress.result.get("validation", {}),
        )

    async def _read_history(self, run: TrainingRun) -> Sequence[RunRecord]:
        found = await self._executions.finished_runs(
            run.system_name, run.algorithm_name, self._settings.training_max_history_runs
        )
        return [to_run_record(execution, jobs) for execution, jobs in found]

    async def _follow(self, run: TrainingRun, process: GuardedProcess, progress: _Progress) -> int:
        """Pass on the child's events until it ends; a heartbeat at least every few seconds."""
        reading = asyncio.create_task(_read_events(process.stdout, progress))
        cancelled = asyncio.create_task(self._cancelled.wait())
        try:
            while True:
                done, _ = await asyncio.wait(
                    {reading, cancelled},
                    timeout=min(1.0, self._settings.training_heartbeat_seconds),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if cancelled in done:
                    raise _Cancelled
                await self._report(run, *progress.take())
                if reading in done:
                    await reading
                    return await process.wait()
        finally:
            reading.cancel()
            cancelled.cancel()

    async def _report(self, run: TrainingRun, fields: dict[str, Any], lines: list[str]) -> None:
        try:
            stored = await self._runs.report(run.id, self._owner, fields, lines)
        except PyMongoError as error:
            # The search goes on; its progress is told with a later heartbeat, its result at the end.
            logger.warning("Training %s: progress was not stored: %s", run.id, type(error).__name__)
            return
        if stored is None:
            raise _Lost
        if stored.cancel_requested:
            raise _Cancelled


class _Cancelled(Exception):
    pass


class _Lost(Exception):
    """Another service holds the run now."""


async def _read_events(stream: asyncio.StreamReader, progress: _Progress) -> None:
    recent: deque[str] = deque(maxlen=5)
    while line := await stream.readline():
        text = line.decode(errors="replace").rstrip()
        try:
            progress.add(json.loads(text))
        except (ValueError, KeyError, AttributeError, TypeError):
            recent.append(text)  # a library printed to standard output
    if recent:
        logger.debug("Output of a training that is no event: %s", list(recent))


def _environment() -> dict[str, str]:
    """The child's environment: ours without the secrets, which it has no use for."""
    hidden = ("MONGODB_", "KUBERNETES_", "HDFS_", "KUBECONFIG")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(hidden)}


def _write_request(folder: Path, request: dict[str, Any]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps(request, allow_nan=False))


def _read_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def _tail(path: Path, characters: int = 1500) -> str:
    try:
        return path.read_text(errors="replace")[-characters:].strip()
    except OSError:
        return ""
