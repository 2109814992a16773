"""Follows SparkApplications: lists them, watches on from there, and records what it sees.

What is recorded depends on the resource and on what is stored, not on what this process remembers:
several services may watch at once, and one that restarts takes up where it was. A list, at the
start and wherever a watch cannot go on, also shows what is missing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any

from common.errors import ApplicationExecutionNotFound
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import BackOff, Loop
from common.mongo.document import utc_now
from common.mongo.stored import UnreadableDocument
from submission.kubernetes.logs import DriverLogs, namespace_of
from submission.kubernetes.resources import Change, SparkApplications, execution_id_of_resource, version_of
from submission.kubernetes.states import Observation, observe

logger = logging.getLogger(__name__)

Json = dict[str, Any]

RUNNER = "kubernetes"

_BACK_OFF = BackOff(0.2, 30.0)
_WATCH_SECONDS = 240
"""Then the API server is asked anew: a connection that died silently is noticed by that."""

_SHORT_WATCH_SECONDS = 1.0
_BEING_SUBMITTED_SECONDS = 60.0
"""For so long, an execution without a resource may be on its way in another service."""

_DELETED = "Its SparkApplication was deleted in Kubernetes, not through this service."
_GONE = "Its SparkApplication is gone: deleted in Kubernetes while the service did not watch."


_Said = tuple[ApplicationState | None, bool, str]
"""What an observation says: the state, whether it waits for the operator, and why."""


class SparkApplicationWatcher:
    """Watches the namespaces and records the states of the executions there.

    Args:
        namespaces: The first is the default of manifests without one.
        create_again: For an execution that was stored, but is not in Kubernetes; returns at once.
        stop_again: For one whose end was asked for, but not brought about; returns at once.
        pickup_seconds: Until an application that the operator has not looked at is NOT_PICKED_UP.
    """

    def __init__(
        self,
        applications: SparkApplications,
        executions: ExecutionRepository,
        logs: DriverLogs,
        namespaces: Sequence[str],
        *,
        create_again: Callable[[ApplicationExecution], None],
        stop_again: Callable[[ApplicationExecution], None],
        pickup_seconds: float = 60.0,
        watch_seconds: int = _WATCH_SECONDS,
        back_off: BackOff = _BACK_OFF,
    ) -> None:
        self._applications = applications
        self._executions = executions
        self._logs = logs
        self._namespaces = tuple(namespaces)
        self._create_again = create_again
        self._stop_again = stop_again
        self._pickup_seconds = pickup_seconds
        self._watch_seconds = watch_seconds
        self._back_off = back_off
        self._versions: dict[str, str] = {}
        """By namespace, from where its watch goes on; without one it is listed."""
        self._waiting: dict[str, float] = {}
        """Execution id to the moment (of the loop's clock) from which on it counts as not picked up."""
        self._recorded: dict[str, _Said] = {}
        """What was recorded last: most changes of a resource concern its executors only."""

    def loops(self) -> list[Loop]:
        """A watch of each namespace, and a look for what the operator does not take up."""
        pause_seconds = self._back_off.first_seconds
        follow = [
            Loop(
                f"SparkApplications in {namespace}",
                partial(self._follow, namespace),
                pause_seconds,
                back_off=self._back_off,
            )
            for namespace in self._namespaces
        ]
        pickup_seconds = min(1.0, self._pickup_seconds / 4)
        return [*follow, Loop("pickup", self._look_for_unpicked, pickup_seconds, pickup_seconds)]

    async def _follow(self, namespace: str) -> float:
        """One watch, after a list where none before it ended regularly; seconds until the next turn.

        Lists alone are no success: with a watch that is always refused they must become rare.
        """
        version = self._versions.pop(namespace, None) or await self._relist(namespace)
        self._versions[namespace] = await self._watch(namespace, version)
        return 0.0

    # --- list -------------------------------------------------------------------------------------

    async def _relist(self, namespace: str) -> str:
        before = await self._unfinished(namespace)
        resources, version = await self._applications.ours(namespace)
        after = await self._unfinished(namespace)
        present = {execution_id_of_resource(resource): resource for resource in resources}
        self._recorded.clear()
        for execution_id, resource in present.items():
            if execution_id in after:
                await self._present(after[execution_id], resource)
            elif execution_id is not None and not observe(resource).is_final:
                await self._end_if_killed(execution_id)
        for execution_id in before:
            if execution_id in after and execution_id not in present:
                await self._missing(after[execution_id], namespace)
        return version

    async def _unfinished(self, namespace: str) -> dict[str, ApplicationExecution]:
        return {
            execution.id: execution
            for execution in await self._executions.unfinished(RUNNER)
            if namespace_of(execution, self._namespaces[0]) == namespace
        }

    async def _present(self, execution: ApplicationExecution, resource: Json) -> None:
        observation = observe(resource)
        if execution.stop_reason is not None and not observation.is_final:
            self._stop_again(execution)
            return
        created_at = observation.created_at
        await self._record(execution, resource, observation, _seconds_since(created_at))

    async def _missing(self, execution: ApplicationExecution, namespace: str) -> None:
        name = str(execution.manifests[0]["metadata"]["name"]) if execution.manifests else ""
        resource = await self._applications.find(name, namespace) if name else None
        if resource is not None:  # created after the list was made
            await self._present(execution, resource)
        elif execution.stop_reason is not None:
            await self._record_end(execution, ApplicationState.KILLED, execution.stop_reason)
        elif execution.state is not ApplicationState.NEW or not name:
            await self._record_end(execution, ApplicationState.FAILED, _GONE)
        elif _seconds_since(execution.created_at) > _BEING_SUBMITTED_SECONDS:
            self._create_again(execution)

    # --- watch ------------------------------------------------------------------------------------

    async def _watch(self, namespace: str, version: str) -> str:
        """Follow one watch to its regular end; returns the version from which to go on."""
        began = asyncio.get_running_loop().time()
        changes = self._applications.watch(namespace, version, self._watch_seconds)
        async with aclosing(changes):
            async for change in changes:
                if change.kind != "BOOKMARK":
                    await self._changed(change)
                version = change.version or version
        if asyncio.get_running_loop().time() - began < _SHORT_WATCH_SECONDS:
            await asyncio.sleep(_SHORT_WATCH_SECONDS)  # lest something in between ends all of them at once
        return version

    async def _changed(self, change: Change) -> None:
        execution_id = execution_id_of_resource(change.resource)
        if execution_id is None:
            return
        observation = observe(change.resource)
        if change.kind == "DELETED":
            self._recorded.pop(execution_id, None)
        elif self._recorded.get(execution_id) == _said(observation):
            return
        try:
            execution = await self._executions.get(execution_id)
        except (ApplicationExecutionNotFound, UnreadableDocument):
            return  # of another service with a MongoDB of its own, or of another version
        if execution.state.is_final:
            if not observation.is_final and change.kind == "ADDED":
                await self._end_if_killed(execution_id)
        elif change.kind == "DELETED" and not observation.is_final:
            await self._logs.keep(execution, observation.driver_pod)
            await self._record_end(execution, ApplicationState.KILLED, execution.stop_reason or _DELETED)
        else:
            await self._record(execution, change.resource, observation)

    async def _end_if_killed(self, execution_id: str) -> None:
        """Delete what was created after its execution had been killed: the two met on their way."""
        try:
            execution = await self._executions.get(execution_id)
        except (ApplicationExecutionNotFound, UnreadableDocument):
            return
        killed_here = execution.state is ApplicationState.KILLED and execution.stop_reason is not None
        if killed_here and execution.runner == RUNNER:
            logger.info("%s: was killed before it was created; deleted now", execution_id)
            self._stop_again(execution)

    # --- records ----------------------------------------------------------------------------------

    async def _record(
        self,
        execution: ApplicationExecution,
        resource: Json,
        observation: Observation,
        waited_seconds: float = 0.0,
    ) -> None:
        if observation.is_waiting:
            due = asyncio.get_running_loop().time() + self._pickup_seconds - waited_seconds
            self._waiting.setdefault(execution.id, due)
        else:
            self._waiting.pop(execution.id, None)
        if observation.state is None:
            return
        if observation.is_final:
            await self._logs.keep(execution, observation.driver_pod)
        version = version_of(resource)
        fields = observation.fields
        if observation.is_final:
            fields = {**fields, "end_time": _end_time(execution, observation)}
        changed = await self._executions.record_state(
            execution.id,
            observation.state,
            observation.reason,
            at=_not_before_the_last(execution, observation.at),
            fields=fields,
            only_from={ApplicationState.NEW} if observation.is_waiting else None,
            version=int(version) if version.isdecimal() else None,
        )
        if changed:
            logger.info("%s: %s %s", execution.id, observation.state, observation.reason)
        elif observation.state is execution.state and observation.reason != execution.state_reason:
            await self._executions.note(execution.id, {"state_reason": observation.reason})
        if observation.is_final:
            self._recorded.pop(execution.id, None)
        else:
            self._recorded[execution.id] = _said(observation)

    async def _record_end(
        self, execution: ApplicationExecution, state: ApplicationState, reason: str
    ) -> None:
        self._waiting.pop(execution.id, None)
        self._recorded.pop(execution.id, None)
        if await self._executions.record_state(execution.id, state, reason, fields={"end_time": utc_now()}):
            logger.info("%s: %s %s", execution.id, state, reason)

    async def _look_for_unpicked(self) -> None:
        now = asyncio.get_running_loop().time()
        for execution_id in [name for name, due in self._waiting.items() if due <= now]:
            reason = (
                f"The spark-operator has not taken it up within {self._pickup_seconds:g} s:"
                " is it running, and does it watch this namespace?"
            )
            await self._executions.record_state(
                execution_id,
                ApplicationState.NOT_PICKED_UP,
                reason,
                only_from={ApplicationState.NEW, ApplicationState.PENDING},
            )
            self._waiting.pop(execution_id, None)


def _said(observation: Observation) -> _Said:
    return observation.state, observation.is_waiting, observation.reason


def _end_time(execution: ApplicationExecution, observation: Observation) -> datetime:
    """The operator's, whose seconds are whole ones, but not before the end of the last job."""
    at = observation.at or utc_now()
    return max(at, execution.last_job_end_time) if execution.last_job_end_time else at


def _not_before_the_last(execution: ApplicationExecution, at: datetime | None) -> datetime | None:
    """Changes stay in order although the operator's seconds are whole ones, and its clock another one."""
    if at is None or not execution.state_changes:
        return at
    return max(at, execution.state_changes[-1].at)


def _seconds_since(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (utc_now() - moment).total_seconds())
