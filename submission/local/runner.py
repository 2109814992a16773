"""Applications on this machine: `spark-submit` in client mode against a standalone cluster.

Executions wait in the order of their submission; a few run at once. The states mean:

- PENDING: waits for its turn, or for the cluster to start.
- SUBMITTED: `spark-submit` is being started.
- RUNNING: the driver has registered with the Master.
- COMPLETED, FAILED: `spark-submit` has ended, and nothing of it is left; `end_time` is that moment.
- KILLED: somebody asked for it.
- SUBMISSION_FAILED: `spark-submit` was never started.

Applications end with the service, so an execution that a restarted service finds SUBMITTED or
RUNNING has failed; one that never started takes its turn again.
"""

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pymongo.errors import PyMongoError

from common.errors import InvalidRequest, ServiceError, Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState
from common.mongo.document import utc_now
from common.processes.guarded import GuardedProcess
from common.wire.specs import WorkerSpecs
from submission.driver_log import failure_reason, read_further, read_start, read_tail
from submission.local.cluster import ClusterStartError, LocalCluster
from submission.local.spark_submit import (
    SparkSubmit,
    find_java,
    local_path,
    translate,
    unsupported,
    write_properties,
)
from submission.manifest.build import TOKEN_VARIABLE, Manifest
from submission.manifest.sizes import size_in_bytes
from submission.runners import RecordState

logger = logging.getLogger(__name__)

_REGISTERED = "Connected to Spark cluster with app ID"
_POLL_SECONDS = 0.5
_STOP_GRACE_SECONDS = 5.0
_REASON_LINES = 400
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
_SMALLEST_MEMORY = "450m"  # below it Spark itself gives up: 1.5 times the 300 MB that it reserves

Outcome = tuple[ApplicationState, str]


@dataclass(eq=False)
class _Application:
    """One execution from `start` to its recorded end."""

    execution_id: str
    manifest: Manifest
    task: asyncio.Task[None] | None = None
    is_submitted: bool = False
    """From the moment on that a process of it may exist."""
    process: GuardedProcess | None = None
    decided: Outcome | None = None
    """How it ends because somebody decided so, whatever the process's exit code says."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def end(self, state: ApplicationState, reason: str) -> None:
        self.decided = self.decided or (state, reason)
        if self.process is not None:
            await self.process.stop()


class LocalSparkRunner:
    """A `Runner` with a queue and a cluster of its own.

    Args:
        folder: Where everything is kept: the cluster's files, and a folder per application.
        record_state: Where state changes go; kept trying while MongoDB is away.
        name: `local`; where several services share a MongoDB, followed by which of them it is: only
            that one can go on with an execution, or end it.
        callback_token: What drivers show when they report; only their environment holds it.
    """

    def __init__(
        self,
        folder: Path,
        record_state: RecordState,
        *,
        name: str = "local",
        cores: int = 6,
        memory: str = "8g",
        max_applications: int = 1,
        callback_token: SecretStr | None = None,
    ) -> None:
        self.name = name
        self._folder = folder.absolute()
        self._record_state = record_state
        self._cores = cores
        self._memory = memory
        self._max_applications = max_applications
        token = callback_token.get_secret_value() if callback_token else ""
        self._driver_environment = {TOKEN_VARIABLE: token} if token else {}
        self._cluster = LocalCluster(self._folder / "cluster", cores, memory)
        self._queue: deque[_Application] = deque()
        self._active: dict[str, _Application] = {}
        self._closing = False

    # --- what fits --------------------------------------------------------------------------------

    def max_executors(self, worker: WorkerSpecs) -> int:
        """Executors of this size that fit on the worker.

        Raises:
            InvalidRequest: Not even one does.
        """
        by_memory = size_in_bytes(self._memory) // size_in_bytes(worker.memory)
        most = min(self._cores // worker.cores, by_memory)
        if most == 0:
            raise InvalidRequest(
                f"An executor with {worker.cores} cores and {worker.memory} does not fit on the local Spark"
                f" (LOCAL_SPARK_CORES={self._cores}, LOCAL_SPARK_MEMORY={self._memory})."
            )
        return most

    async def check(self, manifest: Manifest) -> None:
        await asyncio.to_thread(_check, manifest)

    async def dry_run(self, manifest: Manifest) -> dict[str, Any]:
        """Only what can be said without starting it: its files, its sizes, and what the cluster can do."""
        try:
            await self.check(manifest)
        except InvalidRequest as error:
            refusal = {"status": error.status, "reason": str(error), "errors": []}
            return {"checked_by": "local", "accepted": False, **refusal}
        return {"checked_by": "local", "accepted": True, "warnings": []}

    # --- Runner -----------------------------------------------------------------------------------

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        if self._closing:
            raise Unavailable("The service is stopping.")
        ahead = len(self._queue) + len(self._active)
        reason = f"Waits for its turn, {ahead} before it." if ahead else "The local Spark is about to run it."
        try:
            await self._record_state(execution_id, ApplicationState.PENDING, reason)
        except PyMongoError as error:  # the execution itself is stored; this state only informs
            logger.warning("%s: PENDING could not be stored: %s", execution_id, error)
        self._queue.append(_Application(execution_id, manifest))
        self._dispatch()
        status = {"applicationState": {"state": ApplicationState.PENDING.value}}
        return {**manifest, "status": status}

    async def stop(self, execution_id: str, reason: str = "Killed on request.") -> bool:
        waiting = next((each for each in self._queue if each.execution_id == execution_id), None)
        if waiting is not None:
            self._queue.remove(waiting)
            await self._record(waiting, (ApplicationState.KILLED, reason))
            return True
        application = self._active.get(execution_id)
        if application is None:
            return False
        await application.end(ApplicationState.KILLED, reason)
        if application.is_submitted:
            await application.ended.wait()
        else:  # the cluster may take a while to start
            await self._record(application, (ApplicationState.KILLED, reason))
        return True

    async def read_log(self, execution_id: str, tail_lines: int) -> str | None:
        if not re.fullmatch(r"[\w-]+", execution_id):
            return None
        return await asyncio.to_thread(read_tail, self._log(execution_id), tail_lines)

    async def follow_log(self, execution_id: str, tail_lines: int) -> AsyncIterator[str]:
        if not re.fullmatch(r"[\w-]+", execution_id):
            return
        log = self._log(execution_id)
        while True:
            goes_on = self._is_known(execution_id)  # before reading, so that nothing is written afterwards
            started = await asyncio.to_thread(read_start, log, tail_lines)
            if started is not None or not goes_on:
                break
            await asyncio.sleep(_POLL_SECONDS)
        if started is None:
            return
        lines, position = started
        further, rest, position = await asyncio.to_thread(read_further, log, b"", position)
        lines += further
        while True:
            for line in lines:
                yield line
            if not goes_on:
                break
            await asyncio.sleep(_POLL_SECONDS)
            goes_on = self._is_known(execution_id)
            lines, rest, position = await asyncio.to_thread(read_further, log, rest, position)
        if rest:
            yield rest.decode(errors="replace")

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        for execution in executions:
            if execution.state in (ApplicationState.NEW, ApplicationState.PENDING) and execution.manifests:
                await self.start(execution.manifests[0], execution.id)
                continue
            changes = [change.at for change in execution.state_changes]
            # The latest sign of life: when exactly it died with the service, nobody saw.
            seen = [execution.last_job_end_time, execution.start_time, *changes, execution.created_at]
            await self._record_state(
                execution.id,
                ApplicationState.FAILED,
                "The service that ran it ended, and the application with it.",
                fields={"end_time": max(time for time in seen if time is not None)},
            )

    async def aclose(self) -> None:
        """End what runs (FAILED); what waits stays PENDING, for the next start of the service."""
        self._closing = True
        self._queue.clear()
        reason = "The service was stopped, and the application with it."
        active = list(self._active.values())
        for application in active:
            if application.task is not None and not application.is_submitted:
                application.task.cancel()
        await asyncio.gather(
            *(each.end(ApplicationState.FAILED, reason) for each in active if each.is_submitted)
        )
        await asyncio.gather(*(each.task for each in active if each.task is not None), return_exceptions=True)
        await self._cluster.aclose()

    # --- one application --------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while self._queue and len(self._active) < self._max_applications and not self._closing:
            application = self._queue.popleft()
            self._active[application.execution_id] = application
            application.task = asyncio.create_task(self._run(application))

    async def _run(self, application: _Application) -> None:
        try:
            try:
                outcome = await self._carry_out(application)
            except (ServiceError, ClusterStartError, OSError) as error:
                outcome = ApplicationState.SUBMISSION_FAILED, str(error)
            except Exception as error:
                logger.exception("%s: could not be carried out", application.execution_id)
                outcome = ApplicationState.FAILED, f"The local runner failed: {error!r}"
            if outcome is not None:
                await self._record(application, outcome)
        finally:
            del self._active[application.execution_id]
            application.ended.set()
            self._dispatch()

    async def _carry_out(self, application: _Application) -> Outcome | None:
        """Run to the end; returns how it ended, None if it has got a final state meanwhile."""
        await self.check(application.manifest)
        submit = translate(application.manifest)
        master_url = await self._cluster.ensure_up()
        if application.decided:
            return application.decided
        folder = self._folder / "applications" / application.execution_id
        properties_file = folder / "spark.properties"
        log = self._log(application.execution_id)
        properties = {**submit.properties, **self._cluster.properties}
        await asyncio.to_thread(_prepare, folder, properties_file, properties)
        application.is_submitted = True
        if not await self._insist(application, ApplicationState.SUBMITTED, ""):
            return application.decided
        command = submit.command(self._cluster.spark_home, master_url, properties_file)
        with log.open("wb") as output:
            application.process = await GuardedProcess.start(
                *command,
                stdout=output,
                stderr=output,
                # A program's own variables are not to lead Spark's scripts astray.
                env={**submit.driver_environment, **self._cluster.environment, **self._driver_environment},
                cwd=folder,
                grace_seconds=_STOP_GRACE_SECONDS,
            )
        logger.info("%s: spark-submit started", application.execution_id)
        if application.decided:
            await application.process.stop()
        try:
            return await self._attend(application, application.process, submit, log)
        finally:
            await application.process.stop()
            await asyncio.to_thread(properties_file.unlink, missing_ok=True)

    async def _attend(
        self, application: _Application, process: GuardedProcess, submit: SparkSubmit, log: Path
    ) -> Outcome:
        ended = asyncio.create_task(process.wait())
        down = asyncio.create_task(self._cluster.wait_down())
        registered = asyncio.create_task(self._record_running(application, log, ended))
        try:
            await asyncio.wait({ended, down}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():  # a driver would wait for ever for a Master or Worker to come back
                await application.end(ApplicationState.FAILED, down.result())
            code = await ended
            await asyncio.wait({registered})
        finally:
            for task in (ended, down, registered):
                task.cancel()
            await asyncio.gather(ended, down, registered, return_exceptions=True)
        if application.decided:
            return application.decided
        if code == 0:
            return ApplicationState.COMPLETED, ""
        written = await asyncio.to_thread(read_tail, log, _REASON_LINES) or ""
        told = failure_reason(written, submit.properties)
        how = f"spark-submit was ended by signal {code - 128}" if code > 128 else f"exit code {code}"
        return ApplicationState.FAILED, f"{how}: {told}" if told else how

    async def _record_running(self, application: _Application, log: Path, ended: asyncio.Task[int]) -> None:
        """Store that it runs, or ran before it ended."""
        while True:
            is_last = ended.done()
            if _REGISTERED in await asyncio.to_thread(_head, log):
                break
            if is_last:
                return
            await asyncio.wait({ended}, timeout=_POLL_SECONDS)
        await self._insist(application, ApplicationState.RUNNING, "")

    # --- states -----------------------------------------------------------------------------------

    async def _record(self, application: _Application, outcome: Outcome) -> None:
        """Store the end, together with its time."""
        state, reason = outcome
        logger.info("%s: %s %s", application.execution_id, state, reason)
        await self._insist(application, state, reason, end_time=utc_now())

    async def _insist(
        self, application: _Application, state: ApplicationState, reason: str, **fields: object
    ) -> bool:
        """Store a state, trying again while MongoDB is away and the service goes on."""
        attempt = 0
        while True:
            try:
                return await self._record_state(application.execution_id, state, reason, fields=fields)
            except PyMongoError as error:
                logger.warning("%s: %s could not be stored: %s", application.execution_id, state, error)
                if self._closing or (application.decided and not state.is_final):
                    return False
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1

    def _is_known(self, execution_id: str) -> bool:
        """Whether it waits or runs."""
        return execution_id in self._active or any(each.execution_id == execution_id for each in self._queue)

    def _log(self, execution_id: str) -> Path:
        return self._folder / "applications" / execution_id / "driver.log"


def _check(manifest: Manifest) -> None:
    if find_java() is None:
        raise Unavailable("Java is missing: the local Spark needs Java 17 on the PATH or in JAVA_HOME.")
    submit = translate(manifest)
    if missing := unsupported(manifest):
        raise InvalidRequest(f"The local Spark has none of what Kubernetes provides: {missing}.")
    for jar in submit.jars[-1:]:  # the others are the request's
        if _is_missing(jar):
            raise Unavailable(f"The Spark plugin {jar} is missing; `make install` builds it (LISTENER_JAR).")
    if _is_missing(submit.main_file):
        raise InvalidRequest(f"The main application file {submit.main_file} does not exist on this machine.")
    for location in (*submit.jars, *submit.files):
        if _is_missing(location):
            raise InvalidRequest(f"deps: {location} does not exist on this machine.")
    for role in ("driver", "executor"):
        memory = submit.properties[f"spark.{role}.memory"]
        if size_in_bytes(memory) < size_in_bytes(_SMALLEST_MEMORY):
            raise InvalidRequest(
                f"Spark needs at least {_SMALLEST_MEMORY} of memory for the {role}, not {memory}."
            )


def _is_missing(location: str) -> bool:
    try:
        return location.startswith("/") and not Path(location).is_file()
    except OSError:  # such as a name that is longer than any file's
        return True


def _prepare(folder: Path, properties_file: Path, properties: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_properties(properties_file, properties)
    if properties.get("spark.eventLog.enabled") == "true":
        event_log = local_path(properties.get("spark.eventLog.dir", ""))
        if event_log.startswith("/"):
            with contextlib.suppress(OSError):  # Spark says what is wrong with it
                Path(event_log).mkdir(parents=True, exist_ok=True)


def _head(log: Path) -> str:
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        return file.read(256 << 10).decode(errors="replace")
    return ""
