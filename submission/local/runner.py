"""Applications on this machine: `spark-submit` in client mode against a standalone cluster.

Executions wait in the order of their submission; a few run at once. The states mean:

- PENDING: waits for its turn, or for the cluster to start.
- SUBMITTED: `spark-submit` is being started.
- RUNNING: the driver has registered with the Master.
- COMPLETED, FAILED: `spark-submit` has ended, and nothing of it is left; `end_time` is the moment in
  which its process ended.
- KILLED: somebody asked for it.
- SUBMISSION_FAILED: `spark-submit` was never started.

Applications end with the service, so an execution that a restarted service finds SUBMITTED or
RUNNING has failed; one that never started takes its turn again.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pymongo.errors import PyMongoError

from common.errors import InvalidRequest, Unavailable
from common.executions.documents import ApplicationExecution, ApplicationState
from common.loops import Loop
from common.mongo.document import utc_now
from common.settings.group import PROJECT_ROOT, bundled
from common.wire.specs import WorkerSpecs
from submission.driver_log import read_further, read_start, read_tail
from submission.local.application import POLL_SECONDS, LocalApplication, Workshop
from submission.local.checks import check
from submission.local.cluster import LocalCluster
from submission.log_lines import LineSplitter, Mark, NumberedLines, beginning_of, lines_from
from submission.manifest.build import Manifest
from submission.manifest.platform import Platform
from submission.manifest.sizes import size_in_bytes
from submission.runners import RecordState, TokenFor, no_token

logger = logging.getLogger(__name__)

_Read = TypeVar("_Read")

_MARKS = 1000
"""Places in logs that are remembered; whoever asks for another line has the log read from its beginning."""

LOCAL = Platform(
    name="local",
    in_words="the local Spark",
    rescaling_modes=("muted",),
    listener_jar=str(bundled("listener/build/enel-listener.jar")),
    examples_location=str(bundled("examples")),
    launcher=str(PROJECT_ROOT / "submission" / "launcher" / "launch.py"),
    refused_modes={
        "fixed": "is for Kubernetes: on a standalone Spark cluster an application without dynamic allocation"
        " takes every core there is"
    },
)


class LocalSparkRunner:
    """A `Runner` with a queue and a cluster of its own.

    Args:
        folder: Where everything is kept: the cluster's files, and a folder per application.
        record_state: Where state changes go; kept trying while MongoDB is away.
        name: `local`; where several services share a MongoDB, followed by which of them it is: only
            that one can go on with an execution, or end it.
        token_for: Makes what a driver shows when it reports; only its environment holds it.
    """

    platform = LOCAL

    def __init__(
        self,
        folder: Path,
        record_state: RecordState,
        *,
        name: str = LOCAL.name,
        cores: int = 6,
        memory: str = "8g",
        max_applications: int = 1,
        token_for: TokenFor = no_token,
    ) -> None:
        self.name = name
        self._cores = cores
        self._memory = memory
        self._max_applications = max_applications
        folder = folder.absolute()
        self._workshop = Workshop(
            folder / "applications",
            LocalCluster(folder / "cluster", cores, memory),
            record_state,
            token_for,
        )
        self._queue: deque[LocalApplication] = deque()
        self._active: dict[str, LocalApplication] = {}
        self._marks: dict[tuple[str, int], Mark] = {}

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
        await asyncio.to_thread(check, manifest)

    async def dry_run(self, manifest: Manifest) -> dict[str, Any]:
        """Only what can be said without starting it: its files, its sizes, and what the cluster can do."""
        try:
            await self.check(manifest)
        except InvalidRequest as error:
            refusal = {"status": error.status, "reason": str(error), "errors": []}
            return {"checked_by": LOCAL.name, "accepted": False, **refusal}
        return {"checked_by": LOCAL.name, "accepted": True, "warnings": []}

    # --- Runner -----------------------------------------------------------------------------------

    def loops(self) -> Sequence[Loop]:
        """None: every application has a task of its own."""
        return ()

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        if self._workshop.is_closing:
            raise Unavailable("The service is stopping.")
        ahead = len(self._queue) + len(self._active)
        reason = f"Waits for its turn, {ahead} before it." if ahead else "The local Spark is about to run it."
        try:
            await self._workshop.record_state(execution_id, ApplicationState.PENDING, reason)
        except PyMongoError as error:  # the execution itself is stored; this state only informs
            logger.warning("%s: PENDING could not be stored: %s", execution_id, error)
        self._queue.append(LocalApplication(execution_id, manifest, self._workshop))
        self._dispatch()
        status = {"applicationState": {"state": ApplicationState.PENDING.value}}
        return {**manifest, "status": status}

    async def stop(self, execution_id: str, reason: str = "Killed on request.") -> bool:
        waiting = next((each for each in self._queue if each.execution_id == execution_id), None)
        if waiting is not None:
            self._queue.remove(waiting)
            await waiting.record((ApplicationState.KILLED, reason))
            return True
        application = self._active.get(execution_id)
        if application is None:  # its process may have outlived the service that started it, and its guard
            if not await self._workshop.end_left_over(execution_id):
                return False
            await self._workshop.record_state(
                execution_id, ApplicationState.KILLED, reason, fields={"end_time": utc_now()}
            )
            return True
        await application.end(ApplicationState.KILLED, reason)
        if application.is_submitted:
            await application.ended.wait()
        else:  # the cluster may take a while to start
            await application.record((ApplicationState.KILLED, reason))
        return True

    async def read_log(self, execution_id: str, tail_lines: int, attempt: int | None = None) -> str | None:
        if attempt is not None or not re.fullmatch(r"[\w-]+", execution_id):
            return None
        return await asyncio.to_thread(read_tail, self._workshop.log(execution_id), tail_lines)

    async def follow_log(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        started = await self._begun(execution_id, partial(read_start, lines=tail_lines))
        if started is None:
            return
        lines, position = started
        for line in lines:
            yield line
        async for line in self._further(execution_id, position):
            yield line

    async def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        mark = await self._begun(execution_id, partial(_beginning, number=offset))
        if mark is None:
            return
        number = mark.number
        async for line in self._further(execution_id, mark.position):
            if number >= offset:
                yield line
            number += 1

    async def _begun(self, execution_id: str, read: Callable[[Path], _Read | None]) -> _Read | None:
        """What is read of a log once there is one; None where there never will be."""
        if not re.fullmatch(r"[\w-]+", execution_id):
            return None
        log = self._workshop.log(execution_id)
        while True:
            goes_on = self._is_known(execution_id)  # before reading, so that nothing is written afterwards
            found = await asyncio.to_thread(read, log)
            if found is not None or not goes_on:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _further(self, execution_id: str, position: int) -> AsyncIterator[str]:
        """Lines of a log from a position on, until nothing more is written."""
        log = self._workshop.log(execution_id)
        splitter = LineSplitter()
        goes_on = self._is_known(execution_id)
        while True:
            content = await asyncio.to_thread(read_further, log, position)
            position += len(content)
            for line in splitter.feed(content):
                yield line
            if content:
                continue
            if not goes_on:
                break
            await asyncio.sleep(POLL_SECONDS)
            goes_on = self._is_known(execution_id)
        for line in splitter.end():
            yield line

    async def read_lines(self, execution_id: str, offset: int, *, ended: bool) -> NumberedLines | None:
        if not re.fullmatch(r"[\w-]+", execution_id):
            return None
        mark = self._marks.get((execution_id, offset), Mark())
        read = await asyncio.to_thread(_read_lines, self._workshop.log(execution_id), offset, ended, mark)
        if read is None:
            return None
        found, further = read
        if not found.finished and further.number == found.next:
            self._marks[execution_id, found.next] = further
            while len(self._marks) > _MARKS:
                self._marks.pop(next(iter(self._marks)))
        return found

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        for execution in executions:
            if execution.state in (ApplicationState.NEW, ApplicationState.PENDING) and execution.manifests:
                await self.start(execution.manifests[0], execution.id)
                continue
            await self._workshop.end_left_over(execution.id)
            # The service, which was killed, could not.
            await asyncio.to_thread(self._workshop.tidy_up, execution.id)
            # Without a time: when it died with the service, nobody saw.
            await self._workshop.record_state(
                execution.id,
                ApplicationState.FAILED,
                "The service that ran it ended, and the application with it.",
            )

    async def aclose(self) -> None:
        """End what runs (FAILED); what waits stays PENDING, for the next start of the service."""
        self._workshop.is_closing = True
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
        await self._workshop.cluster.aclose()

    # --- turns --------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while self._queue and len(self._active) < self._max_applications and not self._workshop.is_closing:
            application = self._queue.popleft()
            self._active[application.execution_id] = application
            application.task = asyncio.create_task(self._run(application))

    async def _run(self, application: LocalApplication) -> None:
        try:
            await application.run()
        finally:
            del self._active[application.execution_id]
            application.ended.set()
            self._dispatch()

    def _is_known(self, execution_id: str) -> bool:
        """Whether it waits or runs."""
        return execution_id in self._active or any(each.execution_id == execution_id for each in self._queue)


def _beginning(log: Path, number: int) -> Mark | None:
    """Where a line begins, or as near before it as the log goes; None where there is no log."""
    try:
        with log.open("rb") as file:
            return beginning_of(file, number)
    except FileNotFoundError:
        return None


def _read_lines(log: Path, offset: int, ended: bool, mark: Mark) -> tuple[NumberedLines, Mark] | None:
    try:
        with log.open("rb") as file:
            return lines_from(file, offset, ended=ended, mark=mark)
    except FileNotFoundError:
        return None
