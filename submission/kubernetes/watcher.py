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

from common.errors import ApplicationExecutionNotFound, ServiceError
from common.executions.attempts import jobs_in_charge
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import BackOff, Loop
from common.mongo.document import utc_now
from common.mongo.stored import UnreadableDocument
from submission.kubernetes.absence import why_gone
from submission.kubernetes.errors import KubernetesUnavailable
from submission.kubernetes.logs import DriverLogs, is_of, namespace_of
from submission.kubernetes.resources import Change, SparkApplications, execution_id_of_resource, version_of
from submission.kubernetes.states import Observation, not_to_come

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_BACK_OFF = BackOff(0.2, 30.0)
_WATCH_SECONDS = 30
"""Then the API server is asked anew, before proxies cut what is quiet for 35 s, as kubeadm's example of
HAProxy does; a connection that died silently is noticed by that, too."""

_LOOK_SECONDS = 10.0
"""Between two looks at what no watch tells of."""

_SHORT_WATCH_SECONDS = 1.0
_BEING_SUBMITTED_SECONDS = 60.0
"""For so long, an execution without a resource may be on its way in another service."""

_DELETED = "Its SparkApplication was deleted in Kubernetes, not through this service."


_Said = tuple[object, ...]
"""What an observation says: the state, whether it waits for the operator, and why."""


class SparkApplicationWatcher:
    """Watches the namespaces and records the states of the executions there.

    Args:
        namespaces: The first is the default of manifests without one.
        create_again: For an execution that was stored, but is not in Kubernetes; returns at once.
        stop_again: For one whose end was asked for, but not brought about; returns at once.
        pickup_seconds: Until an application that the operator has not submitted is NOT_PICKED_UP.
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
        look_seconds: float = _LOOK_SECONDS,
        back_off: BackOff = _BACK_OFF,
    ) -> None:
        self._applications = applications
        self._dialect = applications.dialect
        self._executions = executions
        self._logs = logs
        self._namespaces = tuple(namespaces)
        self._create_again = create_again
        self._stop_again = stop_again
        self._pickup_seconds = pickup_seconds
        self._watch_seconds = watch_seconds
        self._look_seconds = look_seconds
        self._back_off = back_off
        self._versions: dict[str, str] = {}
        """By namespace, from where its watch goes on; without one it is listed."""
        self._waiting: dict[str, float] = {}
        """Execution id to the moment (of the loop's clock) from which on it counts as not picked up."""
        self._unlisted: dict[str, str] = {}
        """Execution id to namespace of what is there, and in no list or watch: its label was changed."""
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
        return [
            *follow,
            Loop("pickup", self._look_for_unpicked, pickup_seconds, pickup_seconds),
            Loop("unlisted SparkApplications", self._look_at_unlisted, self._look_seconds),
            Loop("drivers that wait", self._look_at_waiting, self._look_seconds, self._look_seconds),
        ]

    async def _follow(self, namespace: str) -> float:
        """One watch, after a list where none before it can be gone on from; seconds until the next turn.

        Lists alone are no success: with a watch that is always refused they must become rare.
        """
        version = self._versions.pop(namespace, None) or await self._relist(namespace)
        following = await self._watch(namespace, version)
        if following is not None:
            self._versions[namespace] = following
        return 0.0

    # --- list -------------------------------------------------------------------------------------

    async def _relist(self, namespace: str) -> str:
        before = await self._unfinished(namespace)
        resources, version = await self._applications.ours(namespace)
        after = await self._unfinished(namespace)
        present = {
            execution_id: resource
            for resource in resources
            if (execution_id := execution_id_of_resource(resource)) not in after
            or is_of(after[execution_id], resource)
        }
        self._recorded.clear()
        self._unlisted = {name: there for name, there in self._unlisted.items() if name not in present}
        for execution_id, resource in present.items():
            if execution_id in after:
                await self._forget_later_version(before.get(execution_id), resource)
                await self._present(after[execution_id], resource)
            elif execution_id is not None and not self._dialect.observe(resource).is_final:
                await self._end_if_killed(execution_id)
        for execution_id in before:
            if execution_id in after and execution_id not in present:
                await self._missing(after[execution_id], namespace)
        return version

    async def _forget_later_version(self, before: ApplicationExecution | None, resource: Json) -> None:
        """A list is the truth, also where versions have gone back: as after etcd was restored.

        Only a version that was stored before the list was asked for says so: what another service has
        stored since may be newer than the list.
        """
        stored, listed = before.resource_version if before else None, _number(version_of(resource))
        if before is not None and stored is not None and listed is not None and listed < stored:
            logger.warning("%s: its version went back from %d to %d", before.id, stored, listed)
            await self._executions.forget_version(before.id, stored)

    async def _unfinished(self, namespace: str) -> dict[str, ApplicationExecution]:
        return {
            execution.id: execution
            for execution in await self._executions.unfinished(self._dialect.platform.name)
            if namespace_of(execution, self._namespaces[0]) == namespace
        }

    async def _present(self, execution: ApplicationExecution, resource: Json) -> None:
        observation = self._dialect.observe(resource)
        if execution.stop_reason is not None and not observation.is_final:
            self._stop_again(execution)
            return
        created_at = observation.created_at
        await self._record(execution, resource, observation, _seconds_since(created_at))

    async def _missing(self, execution: ApplicationExecution, namespace: str) -> None:
        name = str(execution.manifests[0]["metadata"]["name"]) if execution.manifests else ""
        resource = await self._applications.find(name, namespace) if name else None
        if resource is not None:  # created after the list was made, or without the label by now
            self._unlisted[execution.id] = namespace
            await self._present(execution, resource)
        elif execution.stop_reason is not None:
            await self._record_end(execution, ApplicationState.KILLED, execution.stop_reason)
        elif execution.state is not ApplicationState.NEW or not name:
            await self._record_gone(execution)
        elif execution.environment_id is not None:
            return  # it is created when that is ready
        elif _seconds_since(execution.created_at) > _BEING_SUBMITTED_SECONDS:
            self._create_again(execution)

    # --- watch ------------------------------------------------------------------------------------

    async def _watch(self, namespace: str, version: str) -> str | None:
        """Follow one watch to its end; returns the version from which to go on, None: list again.

        A watch that was accepted is a success, whatever ended it: some proxies cut all that are quiet.

        Raises:
            ServiceError: The watch was refused, or ended at once.
        """
        clock = asyncio.get_running_loop().time
        opened_at: float | None = None

        def opened() -> None:
            nonlocal opened_at
            opened_at = clock()

        changes = self._applications.watch(namespace, version, self._watch_seconds, opened)
        following: str | None = version
        try:
            async with aclosing(changes):
                async for change in changes:
                    if change.kind != "BOOKMARK":
                        await self._changed(change)
                    following = version = change.version or version
        except ServiceError as error:
            if opened_at is None or clock() - opened_at < _SHORT_WATCH_SECONDS:
                raise
            is_cut = isinstance(error, KubernetesUnavailable)
            following = version if is_cut else None
            logger.info("The watch of %s %s: %s", namespace, "goes on" if is_cut else "needs a list", error)
        if opened_at is None or clock() - opened_at < _SHORT_WATCH_SECONDS:
            await asyncio.sleep(_SHORT_WATCH_SECONDS)  # lest something in between ends all of them at once
        return following

    async def _changed(self, change: Change) -> None:
        execution_id = execution_id_of_resource(change.resource)
        if execution_id is None:
            return
        if change.kind == "DELETED" and (present := await self._unlabelled(change.resource)):
            change = Change("MODIFIED", present)
        else:
            self._unlisted.pop(execution_id, None)
        observation = self._dialect.observe(change.resource)
        if change.kind == "DELETED":
            self._recorded.pop(execution_id, None)
        elif self._recorded.get(execution_id) == _said(observation):
            return
        try:
            execution = await self._executions.get(execution_id)
        except (ApplicationExecutionNotFound, UnreadableDocument):
            return  # of another service with a MongoDB of its own, or of another version
        if not is_of(execution, change.resource):
            return
        if execution.state.is_final:
            if not observation.is_final and change.kind == "ADDED":
                await self._end_if_killed(execution_id)
        elif change.kind == "DELETED" and not observation.is_final:
            await self._logs.keep(execution, observation.driver_pod)
            ordered_here = execution.stop_reason is not None  # a moment ago
            ended_at = utc_now() if ordered_here else observation.deleted_at
            reason = execution.stop_reason or _DELETED
            await self._record_end(execution, ApplicationState.KILLED, reason, ended_at, **observation.fields)
        else:
            await self._record(execution, change.resource, observation)

    async def _unlabelled(self, resource: Json) -> Json | None:
        """What a watch tells of as deleted, although it only has another label now; None: it is deleted."""
        metadata, execution_id = resource["metadata"], execution_id_of_resource(resource)
        name, namespace = str(metadata.get("name")), str(metadata.get("namespace"))
        present = await self._applications.find(name, namespace)
        if present is None or present["metadata"].get("uid") != metadata.get("uid"):
            return None
        if execution_id is not None and execution_id not in self._unlisted:
            logger.warning("%s: %s has lost the service's label; it is looked at by name", execution_id, name)
            self._unlisted[execution_id] = namespace
        return present

    async def _look_at_unlisted(self) -> None:
        """Executions that no watch tells of: what became of them is found by their names."""
        for execution_id, namespace in list(self._unlisted.items()):
            try:
                execution = await self._executions.get(execution_id)
            except (ApplicationExecutionNotFound, UnreadableDocument):
                del self._unlisted[execution_id]
                continue
            if execution.state.is_final:
                del self._unlisted[execution_id]
            else:
                await self._missing(execution, namespace)

    async def _look_at_waiting(self) -> None:
        """Why drivers have not started, which no operator says."""
        platform = self._dialect.platform.name
        waiting = [
            execution
            for execution in await self._executions.unfinished(platform, ApplicationState.SUBMITTED)
            if namespace_of(execution, self._namespaces[0]) in self._namespaces
        ]
        await self._logs.note_waiting(waiting)

    async def _end_if_killed(self, execution_id: str) -> None:
        """Delete what was created after its execution had been killed: the two met on their way."""
        try:
            execution = await self._executions.get(execution_id)
        except (ApplicationExecutionNotFound, UnreadableDocument):
            return
        killed_here = execution.state is ApplicationState.KILLED and execution.stop_reason is not None
        if killed_here and execution.runner == self._dialect.platform.name:
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
        if observation.is_final or observation.failed_attempt:
            await self._logs.keep(execution, observation.driver_pod, observation.failed_attempt)
        fields, now = observation.fields, utc_now()
        if observation.is_final:
            fields = {**fields, "end_time": not_to_come(observation.ended_at, now)}
        changed = await self._executions.record_state(
            execution.id,
            observation.state,
            observation.reason,
            at=_not_before_the_last(execution, not_to_come(observation.at, now)),
            fields=fields,
            only_from={ApplicationState.NEW} if observation.is_waiting else None,
            version=_number(version_of(resource)),
        )
        if changed:
            logger.info("%s: %s %s", execution.id, observation.state, observation.reason)
        elif observation.state is execution.state:
            told = {**observation.fields, "state_reason": observation.reason or execution.state_reason}
            if news := {name: value for name, value in told.items() if getattr(execution, name) != value}:
                await self._executions.note(execution.id, news)
        if observation.is_final:
            self._recorded.pop(execution.id, None)
        else:
            self._recorded[execution.id] = _said(observation)

    async def _record_gone(self, execution: ApplicationExecution) -> None:
        """FAILED, as no state but a final one ends an execution; it says that nobody knows."""
        jobs = jobs_in_charge(execution, await self._executions.job_summaries(execution.id))
        reason = why_gone(execution, jobs, utc_now())
        await self._record_end(execution, ApplicationState.FAILED, reason, outcome_unknown=True)

    async def _record_end(
        self,
        execution: ApplicationExecution,
        state: ApplicationState,
        reason: str,
        ended_at: datetime | None = None,
        **fields: Any,
    ) -> None:
        """`ended_at` is None where nobody says when: a list shows what may be gone since long."""
        self._waiting.pop(execution.id, None)
        self._recorded.pop(execution.id, None)
        fields["end_time"] = ended_at
        if await self._executions.record_state(execution.id, state, reason, fields=fields):
            logger.info("%s: %s %s", execution.id, state, reason)

    async def _look_for_unpicked(self) -> None:
        now = asyncio.get_running_loop().time()
        for execution_id in [name for name, due in self._waiting.items() if due <= now]:
            reason = (
                f"The {self._dialect.operator} has not submitted it within {self._pickup_seconds:g} s:"
                " is it running, does it watch this namespace, or does it take longer to submit?"
            )
            await self._executions.record_state(
                execution_id,
                ApplicationState.NOT_PICKED_UP,
                reason,
                only_from={ApplicationState.NEW, ApplicationState.PENDING},
            )
            self._waiting.pop(execution_id, None)


def _number(version: str) -> int | None:
    return int(version) if version.isdecimal() else None


def _said(observation: Observation) -> _Said:
    return observation.state, observation.is_waiting, observation.reason, *observation.fields.values()


def _not_before_the_last(execution: ApplicationExecution, at: datetime | None) -> datetime | None:
    """Changes stay in order although the operator's seconds are whole ones, and its clock another one."""
    if at is None or not execution.state_changes:
        return at
    return max(at, execution.state_changes[-1].at)


def _seconds_since(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (utc_now() - moment).total_seconds())
