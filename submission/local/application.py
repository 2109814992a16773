"""One application on this machine, from its turn to its recorded end.

Its queue (`submission.local.runner`) decides when that turn comes, and may end it at any moment.
"""

import asyncio
import contextlib
import logging
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pymongo.errors import PyMongoError

from common.disks import why_not_written
from common.errors import ServiceError
from common.executions.documents import ApplicationState
from common.loops import BackOff, until_done
from common.mongo.document import utc_now
from common.processes.guarded import GuardedProcess
from common.processes.left_over import end_left_over
from common.processes.private_files import open_private
from submission.driver_log import failure_reason, read_tail
from submission.local.checks import check
from submission.local.cluster import ClusterStartError, LocalCluster
from submission.local.spark_submit import (
    SparkSubmit,
    driver_environment,
    local_path,
    translate,
    write_properties,
)
from submission.manifest.build import Manifest
from submission.manifest.token_reference import TOKEN_VARIABLE
from submission.runners import RecordState, TokenFor

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between two looks at a log."""

_RUNS = (b"Connected to Spark cluster with app ID", b"enel: the program starts")
"""What a log says once it runs: Spark, or the launcher of a program that may make no session."""

_PIECE = 1 << 20
"""Bytes of a log that are looked at together."""

_STOP_GRACE_SECONDS = 5.0
_REASON_LINES = 400
_BACK_OFF = BackOff(0.5, 5.0)

_OF_SPARK = {
    50: "an uncaught exception",
    51: "an uncaught exception that it could not log",
    52: "an OutOfMemoryError",
    53: "having found no place for local files (spark.local.dir)",
    101: "not having found the main class",
}
"""As its `SparkExitCode` and spark-submit have them."""

Outcome = tuple[ApplicationState, str]


@dataclass
class Workshop:
    """What all applications of a runner share."""

    folder: Path
    """Holds a folder per application."""
    cluster: LocalCluster
    record_state: RecordState
    token_for: TokenFor
    is_closing: bool = False

    def log(self, execution_id: str) -> Path:
        """Where the driver of an execution writes to."""
        return self.folder / execution_id / "driver.log"

    def tidy_up(self, execution_id: str) -> None:
        """Remove what a run leaves beside its log: its properties, and files of a program that was killed."""
        shutil.rmtree(self.log(execution_id).with_name("program"), ignore_errors=True)
        self.properties(execution_id).unlink(missing_ok=True)

    def properties(self, execution_id: str) -> Path:
        """What spark-submit of an execution reads, and no other process is started with."""
        return self.folder / execution_id / "spark.properties"

    async def end_left_over(self, execution_id: str) -> bool:
        """End what is left of an execution whose process nobody here holds; false where nothing is."""
        properties = str(self.properties(execution_id))
        found = await asyncio.to_thread(end_left_over, properties, _STOP_GRACE_SECONDS)
        if found:
            logger.warning("%s: ended %d processes that were left of it", execution_id, found)
        return found > 0


class LocalApplication:
    """An execution that waits, or runs."""

    def __init__(self, execution_id: str, manifest: Manifest, workshop: Workshop) -> None:
        self.execution_id = execution_id
        self.task: asyncio.Task[None] | None = None
        self.is_submitted = False
        """From the moment on that a process of it may exist."""
        self.ended = asyncio.Event()
        self._manifest = manifest
        self._workshop = workshop
        self._process: GuardedProcess | None = None
        self._ended_at: datetime | None = None
        """When its process ended."""
        self._decided: Outcome | None = None
        """How it ends because somebody decided so, whatever the process's exit code says."""

    async def run(self) -> None:
        """Carry it out, and record how it ended."""
        try:
            outcome = await self._carry_out_and_tidy_up()
        except OSError as error:
            outcome = ApplicationState.SUBMISSION_FAILED, why_not_written(error, "DATA_DIR")
        except (ServiceError, ClusterStartError) as error:
            outcome = ApplicationState.SUBMISSION_FAILED, str(error)
        except Exception as error:
            logger.exception("%s: could not be carried out", self.execution_id)
            outcome = ApplicationState.FAILED, f"The local runner failed: {error!r}"
        if outcome is not None:
            await self.record(outcome)

    async def end(self, state: ApplicationState, reason: str) -> None:
        """Let it end so; what ends first counts."""
        self._decided = self._decided or (state, reason)
        if self._process is not None:
            await self._process.stop()

    async def record(self, outcome: Outcome) -> None:
        """Store the end, together with its time."""
        state, reason = outcome
        logger.info("%s: %s %s", self.execution_id, state, reason)
        await self._insist(state, reason, end_time=self._ended_at or utc_now())

    async def _carry_out_and_tidy_up(self) -> Outcome | None:
        try:
            return await self._carry_out()
        finally:
            with contextlib.suppress(OSError):  # its disk is read-only by now; the run was none the worse
                await asyncio.to_thread(self._workshop.tidy_up, self.execution_id)

    async def _carry_out(self) -> Outcome | None:
        """Run to the end; returns how it ended, None if it has got a final state meanwhile."""
        await asyncio.to_thread(check, self._manifest)
        submit = translate(self._manifest)
        cluster, log = self._workshop.cluster, self._workshop.log(self.execution_id)
        master_url = await cluster.ensure_up()
        token = await until_done(
            f"{self.execution_id}: its token is to be stored",
            lambda: self._workshop.token_for(self.execution_id),
            _BACK_OFF,
        )
        if self._decided:
            return self._decided
        properties_file = self._workshop.properties(self.execution_id)
        await asyncio.to_thread(_prepare, properties_file, {**submit.properties, **cluster.properties})
        self.is_submitted = True
        if not await self._insist(ApplicationState.SUBMITTED, ""):
            return self._decided
        command = submit.command(cluster.spark_home, master_url, properties_file)
        environment = driver_environment(submit, cluster.environment)
        environment |= {TOKEN_VARIABLE: token} if token else {}
        with open_private(log) as output:
            self._process = await GuardedProcess.start(
                *command,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=log.parent,
                grace_seconds=_STOP_GRACE_SECONDS,
            )
        logger.info("%s: spark-submit started", self.execution_id)
        if self._decided:
            await self._process.stop()
        try:
            return await self._attend(self._process, submit, log)
        finally:
            await self._process.stop()

    async def _attend(self, process: GuardedProcess, submit: SparkSubmit, log: Path) -> Outcome:
        ended = asyncio.create_task(process.wait())
        down = asyncio.create_task(self._workshop.cluster.wait_down())
        registered = asyncio.create_task(self._record_running(log, ended))
        try:
            await asyncio.wait({ended, down}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():  # a driver would wait for ever for a Master or Worker to come back
                await self.end(ApplicationState.FAILED, down.result())
            code = await ended
            self._ended_at = utc_now()
            await asyncio.wait({registered})
        finally:
            for task in (ended, down, registered):
                task.cancel()
            await asyncio.gather(ended, down, registered, return_exceptions=True)
        if self._decided:
            return self._decided
        if code == 0:
            return ApplicationState.COMPLETED, ""
        written = await asyncio.to_thread(read_tail, log, _REASON_LINES) or ""
        told = failure_reason(written, submit.properties)
        how = how_it_ended(code)
        return ApplicationState.FAILED, f"{how}: {told}" if told else how

    async def _record_running(self, log: Path, ended: asyncio.Task[int]) -> None:
        """Store that it runs, or ran before it ended."""
        read, looked_at = b"", 0
        while True:
            is_last = ended.done()
            begun_at = looked_at
            read, looked_at = await asyncio.to_thread(_read_on, log, looked_at, read)
            if any(line in read for line in _RUNS):
                break
            if looked_at - begun_at == _PIECE:
                continue
            if is_last:
                return
            await asyncio.wait({ended}, timeout=POLL_SECONDS)
        await self._insist(ApplicationState.RUNNING, "")

    async def _insist(self, state: ApplicationState, reason: str, **fields: object) -> bool:
        """Store a state, trying again while MongoDB is away and the service goes on."""

        async def store() -> bool:
            try:
                return await self._workshop.record_state(self.execution_id, state, reason, fields=fields)
            except PyMongoError:
                if self._workshop.is_closing or (self._decided and not state.is_final):
                    return False
                raise

        return await until_done(f"{self.execution_id}: {state} is to be stored", store, _BACK_OFF)


def how_it_ended(code: int) -> str:
    """Of spark-submit, by its exit code.

    Above 128 it may be 128 and the number of a signal, or what the program has said: `sys.exit(-1)` is 255.
    """
    if said := _OF_SPARK.get(code):
        return f"exit code {code}, as Spark leaves it after {said}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"exit code {code}"
    if name.startswith("SIGRT"):  # of those nothing dies
        return f"exit code {code}"
    return f"exit code {code}, as {name} (signal {code - 128}) leaves it"


def _prepare(properties_file: Path, properties: Mapping[str, str]) -> None:
    properties_file.parent.mkdir(parents=True, exist_ok=True)
    write_properties(properties_file, properties)
    if properties.get("spark.eventLog.enabled") == "true":
        event_log = local_path(properties.get("spark.eventLog.dir", ""))
        if event_log.startswith("/"):
            with contextlib.suppress(OSError):  # Spark says what is wrong with it
                Path(event_log).mkdir(parents=True, exist_ok=True)


def _read_on(log: Path, looked_at: int, before: bytes) -> tuple[bytes, int]:
    """A piece of a log from a position on, behind the end of what was read before; and how far that is."""
    overlap = before[-max(map(len, _RUNS)) :]
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        file.seek(looked_at)
        found = file.read(_PIECE)
        return overlap + found, looked_at + len(found)
    return before, looked_at
