"""Drivers' logs on Kubernetes: from the pod while there is one, from what was kept afterwards."""

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from pymongo.errors import PyMongoError

from common.errors import ApplicationExecutionNotFound, ServiceError
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from submission.driver_log import redact
from submission.kubernetes.errors import DriverWaits, KubernetesForbidden, KubernetesUnavailable
from submission.kubernetes.kept_logs import DriverLogRepository, last_lines
from submission.kubernetes.resources import SparkApplications
from submission.log_lines import NumberedLines, lines_from, lines_of, told_text

logger = logging.getLogger(__name__)

_KEPT_LINES = 5000
_ALL_LINES = 10_000_000
"""More than a node keeps."""

_MOST_ATTEMPTS = 50
"""Of which logs are kept: a policy may start drivers for ever."""

_MOST_READ_BYTES = 16 << 20
"""Kubernetes cuts at the end, not at the beginning: so much that it is not reached by sensible lines."""

_MOST_UNANSWERED = 3
"""Drivers in a row of which the API server says nothing, before the rest is asked about later."""

_KEEP_SECONDS = 5.0
"""A state change waits for it."""


class DriverLogs:
    """Reads, follows and keeps the log of an execution's driver."""

    def __init__(
        self,
        applications: SparkApplications,
        executions: ExecutionRepository,
        kept: DriverLogRepository,
        namespace: str,
        *,
        poll_seconds: float = 1.0,
    ) -> None:
        self._applications = applications
        self._executions = executions
        self._kept = kept
        self._namespace = namespace
        self._poll_seconds = poll_seconds
        self._looks = 0
        self._unanswered: dict[str, int] = {}
        """Executions of whose drivers the API server could not say why they wait, and at which look."""

    async def keep(
        self, execution: ApplicationExecution, pod: str | None = None, attempt: int | None = None
    ) -> None:
        """Store the end of the log, without secrets, as long as there is a pod; a failure is only logged.

        Args:
            attempt: Number of the attempt that it is of; None: of the last one.
        """
        pod = pod or execution.driver_pod
        if pod is None or (attempt is not None and attempt > _MOST_ATTEMPTS):
            return
        namespace = namespace_of(execution, self._namespace)
        try:
            async with asyncio.timeout(_KEEP_SECONDS):
                log = await self._applications.read_log(pod, namespace, _KEPT_LINES, _MOST_READ_BYTES)
            if log:
                conf = execution.manifests[0]["spec"].get("sparkConf") or {}
                await self._kept.keep(execution.id, attempt, await asyncio.to_thread(redact, log, conf))
        except DriverWaits:
            return
        except (ServiceError, PyMongoError, TimeoutError) as error:
            logger.warning("%s: the driver's log is not kept: %s", execution.id, error or "no answer")

    async def note_waiting(self, executions: Sequence[ApplicationExecution]) -> None:
        """Store why drivers of what was submitted have not started, where the API server says it.

        One that it says nothing of, as its node does not answer or a namespace is closed to the service,
        keeps none of the others: it is asked about last the next time.

        Raises:
            ServiceError: It does not answer; after a few in a row the rest waits for the next time.
        """
        self._looks += 1
        before = self._unanswered
        self._unanswered = {each.id: before[each.id] for each in executions if each.id in before}
        failures: list[ServiceError] = []
        in_a_row = 0
        for execution in sorted(executions, key=lambda each: before.get(each.id, 0)):
            try:
                await self._note_waiting(execution)
                self._unanswered.pop(execution.id, None)
                in_a_row = 0
            except ServiceError as error:
                self._unanswered[execution.id] = self._looks
                failures.append(error)
                in_a_row += 1
                if in_a_row == _MOST_UNANSWERED:
                    break
        if failures:
            raise failures[0]

    async def _note_waiting(self, execution: ApplicationExecution) -> None:
        if execution.driver_pod is None:
            return
        namespace = namespace_of(execution, self._namespace)
        try:
            await self._applications.read_log(execution.driver_pod, namespace, 1, 1024)
        except DriverWaits as error:
            if str(error) != execution.state_reason:
                reason = {"state_reason": str(error)}
                await self._executions.note(execution.id, reason, only_in=ApplicationState.SUBMITTED)

    async def read(self, execution_id: str, tail_lines: int) -> str | None:
        """The last lines; None where there are none.

        Raises:
            DriverWaits: The driver has not started; it says why.
            ServiceError: The pod's log cannot be read now, and nothing was kept.
        """
        log = await self._read(execution_id, tail_lines)
        return log if log is None else await asyncio.to_thread(told_text, log)

    async def read_attempt(self, execution_id: str, attempt: int, tail_lines: int) -> str | None:
        """The last lines of an attempt that failed before another one began; None where there are none."""
        kept = await self._kept.find(execution_id, attempt)
        return kept if kept is None else await asyncio.to_thread(told_text, last_lines(kept, tail_lines))

    async def read_lines(self, execution_id: str, offset: int, *, ended: bool) -> NumberedLines | None:
        """Lines from the one of this number on; None where there are none.

        They are counted from the first one that Kubernetes has, which is none of the first ones where a node
        has rotated the log; of a pod that is gone, from the first one that was kept.

        Raises:
            ServiceError: As `read`.
        """
        try:
            log = await self._read(execution_id, None)
        except DriverWaits:
            return None
        if log is None:
            return None
        found, _ = await asyncio.to_thread(lines_from, io.BytesIO(log.encode()), offset, ended=ended)
        return found

    async def _read(self, execution_id: str, tail_lines: int | None) -> str | None:
        execution = await self._executions.get(execution_id)
        failure: ServiceError | None = None
        if execution.driver_pod is not None:
            namespace = namespace_of(execution, self._namespace)
            try:
                log = await self._applications.read_log(
                    execution.driver_pod, namespace, tail_lines, _MOST_READ_BYTES
                )
                if log is not None:
                    return log
            except ServiceError as error:
                failure = error
        kept = await self._kept.find(execution_id)
        if kept is None and failure is not None:
            raise failure
        return kept if kept is None or tail_lines is None else last_lines(kept, tail_lines)

    async def follow(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        """The last lines, then every further one, until the application has ended.

        A connection that breaks is opened again where it stopped. Lines come without their ends.
        """
        last, passed_on = None, 0  # the last line's time stamp, and how many lines with it
        while True:
            try:
                execution = await self._executions.get(execution_id)
            except ApplicationExecutionNotFound:
                return
            if execution.state.is_final and last is None:
                with suppress(DriverWaits):
                    for line in lines_of(await self.read(execution_id, tail_lines) or ""):
                        yield line
                return
            if execution.driver_pod is not None:
                namespace = namespace_of(execution, self._namespace)
                lines = self._applications.follow_log(execution.driver_pod, namespace, tail_lines, last)
                known_until, known = last, passed_on
                try:
                    async with aclosing(lines):
                        async for stamp, text in lines:
                            if known_until is not None and stamp < known_until:
                                continue  # Kubernetes goes back to the beginning of the second
                            if stamp == known_until and known > 0:
                                known -= 1  # some container runtimes stamp all lines of a write alike
                                continue
                            passed_on = passed_on + 1 if stamp == last else 1
                            last = stamp
                            yield text
                except (KubernetesForbidden, PyMongoError):
                    raise
                except KubernetesUnavailable as error:
                    logger.info("%s: the driver's log is asked for again: %s", execution_id, error)
                except ServiceError as error:  # no pod any more, or nothing that runs in it yet
                    logger.debug("%s: no log: %s", execution_id, error)
            if execution.state.is_final:
                return
            await asyncio.sleep(self._poll_seconds)

    async def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        """As `follow`, from the line of this number on.

        They are counted as `read_lines` does: Kubernetes gives no number with what it has kept.
        """
        number = 0
        async with aclosing(self.follow(execution_id, _ALL_LINES)) as lines:
            async for line in lines:
                if number >= offset:
                    yield line
                number += 1


def namespace_of(execution: ApplicationExecution, default: str) -> str:
    metadata = execution.manifests[0].get("metadata", {}) if execution.manifests else {}
    return str(metadata.get("namespace") or default)


def is_of(execution: ApplicationExecution, resource: Mapping[str, Any]) -> bool:
    """Whether it is the execution's own, and no copy that somebody has made of it, labels and all."""
    name = execution.manifests[0]["metadata"]["name"] if execution.manifests else None
    return name is None or resource["metadata"].get("name") == name
