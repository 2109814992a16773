"""Applications on Kubernetes: SparkApplication resources, carried out by an operator of either dialect.

A resource's name follows from the execution's id, so that creating it twice is the same as once.
This is what everything here leans on: an answer that got lost, a service that died between storing
and creating, two services that both take up the same execution.

Applications go on without the service. The states mean:

- NEW: stored; whether the resource exists is not known yet.
- PENDING: the resource exists, the operator is about to submit it, or to submit it again.
- NOT_PICKED_UP: the same, for suspiciously long.
- All others: what the operator reports, see its dialect.
- KILLED: somebody asked for it, or deleted the resource.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from pymongo.errors import PyMongoError

from common.errors import (
    ApplicationExecutionNotFound,
    Conflict,
    InvalidRequest,
    ServiceError,
    Unavailable,
)
from common.executions.documents import ApplicationExecution, ApplicationState
from common.executions.repository import ExecutionRepository
from common.loops import BackOff, Loop, until_done
from common.mongo.document import utc_now
from common.wire.specs import WorkerSpecs
from submission.kubernetes.errors import KubernetesUnavailable
from submission.kubernetes.kept_logs import DriverLogRepository
from submission.kubernetes.listener_secrets import ListenerSecrets
from submission.kubernetes.logs import DriverLogs, namespace_of
from submission.kubernetes.resources import SparkApplications, execution_id_of_resource, version_of
from submission.kubernetes.watcher import SparkApplicationWatcher
from submission.log_lines import NumberedLines
from submission.manifest.build import Manifest
from submission.manifest.token_reference import own_secret_of

logger = logging.getLogger(__name__)

_BACK_OFF = BackOff(0.5, 30.0)
_MOST_UNKNOWN = 20
"""Attempts to create a resource, three requests each, that an API server may leave unanswered or answer with
an error of its own: ten minutes."""

_GIVEN_UP = f"Kubernetes was asked {_MOST_UNKNOWN} times to create it, and never said whether it did:"
_NOT_KNOWN = "Kubernetes did not answer: whether it was created is being found out."

_BEFORE_THE_DRIVER = (
    ApplicationState.PENDING,
    ApplicationState.NOT_PICKED_UP,
    ApplicationState.SUBMITTED,
)

Attempt = Callable[[], Coroutine[Any, Any, object]]


class SparkOperatorRunner:
    """A `Runner` that creates resources and follows them, see `SparkApplicationWatcher`.

    Args:
        namespaces: Where applications may run; the first is the default of manifests without one.
        listener_secrets: Creates what manifests refer to; None: that is none of the service's business.
        watching: Settings of the watcher, as tests need them.
    """

    def __init__(
        self,
        applications: SparkApplications,
        executions: ExecutionRepository,
        kept_logs: DriverLogRepository,
        namespaces: Sequence[str],
        *,
        listener_secrets: ListenerSecrets | None = None,
        pickup_seconds: float = 60.0,
        watching: Mapping[str, Any] | None = None,
    ) -> None:
        self._applications = applications
        self._dialect = applications.dialect
        self.platform = self._dialect.platform
        self.name = self.platform.name
        self._executions = executions
        self._namespaces = tuple(namespaces)
        self._listener_secrets = listener_secrets
        self._logs = DriverLogs(applications, executions, kept_logs, self._namespaces[0])
        self._watcher = SparkApplicationWatcher(
            applications,
            executions,
            self._logs,
            self._namespaces,
            create_again=self._create_again,
            stop_again=self._stop_again,
            pickup_seconds=pickup_seconds,
            **(watching or {}),
        )
        self._insisting: dict[str, asyncio.Task[None]] = {}
        """What is tried until it succeeds, by what it is and of which execution."""
        self._starting: set[str] = set()
        self._unknown: dict[str, int] = {}
        """Execution id to how many attempts to create it have had an unknown outcome."""

    # --- Runner -----------------------------------------------------------------------------------

    def loops(self) -> Sequence[Loop]:
        """The watch of every namespace, and a look for what the operator does not take up."""
        return self._watcher.loops()

    def max_executors(self, worker: WorkerSpecs) -> None:
        """No limit is known: what fits is for the cluster's scheduler and quotas to say."""

    async def check(self, manifest: Manifest) -> None:
        """Ask the API server, which knows its schema, the operator's webhook, quotas and permissions."""
        verdict = await self._applications.dry_run(manifest, self._namespace(manifest))
        if not verdict["accepted"]:
            error = InvalidRequest(f"Kubernetes would not accept the application: {verdict['reason']}")
            if verdict["errors"]:
                error.members["errors"] = verdict["errors"]
            raise error
        if self._listener_secrets is not None:
            await self._listener_secrets.check(manifest, self._namespace(manifest))

    async def dry_run(self, manifest: Manifest) -> dict[str, Any]:
        try:
            verdict = await self._applications.dry_run(manifest, self._namespace(manifest))
        except InvalidRequest as error:
            verdict = {"accepted": False, "status": error.status, "reason": str(error)}
            verdict["errors"] = error.members.get("errors", [])
        return {"checked_by": self.name, **verdict}

    async def start(self, manifest: Manifest, execution_id: str) -> dict[str, Any]:
        """Create the resource, and return it.

        Where nobody can say whether it was created, the manifest is returned with a status that says
        so, and it is found out in the background; the execution stays NEW until then.
        """
        self._starting.add(execution_id)
        try:
            created = await self._applications.create(manifest, self._namespace(manifest))
        except KubernetesUnavailable as error:
            if not error.outcome_unknown:
                raise
            logger.warning("%s: %s Its outcome is being found out.", execution_id, error)
            await self._note(execution_id, {"state_reason": _NOT_KNOWN})
            self._insist("create", execution_id, lambda: self._create(manifest, execution_id))
            state = {"state": ApplicationState.NEW.value, "errorMessage": _NOT_KNOWN}
            return {**manifest, "status": {"applicationState": state}}
        finally:
            self._starting.discard(execution_id)
        try:
            await self._give_token(manifest, created, execution_id)
        except (ServiceError, PyMongoError) as error:  # its driver waits for it
            logger.warning("%s: has no Secret yet: %s", execution_id, error)
            self._insist("token", execution_id, lambda: self._give_token_again(execution_id))
        try:
            await self._record_created(execution_id, created)
        except PyMongoError as error:  # it runs; the watch records it, too
            logger.warning("%s: PENDING could not be stored: %s", execution_id, error)
        return created

    async def stop(self, execution_id: str, reason: str = "Killed on request.") -> bool:
        try:
            execution = await self._executions.get(execution_id)
        except ApplicationExecutionNotFound:
            return False
        if execution.runner != self.name or not execution.manifests:
            return False
        if execution.driver_reports:
            await self._remove(execution, reason)
            return True
        if execution.state.is_final:
            return False
        await self._executions.note(execution_id, {"stop_reason": reason})
        try:
            await self._stop(execution_id)
        except Unavailable as error:
            self._stop_again(execution)
            raise Unavailable(f"{error} The application is ended as soon as Kubernetes answers.") from error
        return True

    async def read_log(self, execution_id: str, tail_lines: int, attempt: int | None = None) -> str | None:
        if attempt is not None:
            return await self._logs.read_attempt(execution_id, attempt, tail_lines)
        try:
            return await self._logs.read(execution_id, tail_lines)
        except ApplicationExecutionNotFound:
            return None

    def follow_log(self, execution_id: str, tail_lines: int) -> AsyncGenerator[str, None]:
        return self._logs.follow(execution_id, tail_lines)

    def follow_lines(self, execution_id: str, offset: int) -> AsyncGenerator[str, None]:
        return self._logs.follow_lines(execution_id, offset)

    async def read_lines(self, execution_id: str, offset: int, *, ended: bool) -> NumberedLines | None:
        try:
            return await self._logs.read_lines(execution_id, offset, ended=ended)
        except ApplicationExecutionNotFound:
            return None

    async def resume(self, executions: Sequence[ApplicationExecution]) -> None:
        """Those that may never have been created are now, with their Secrets; the watch takes up others."""
        for execution in executions:
            if execution.stop_reason is not None:
                continue
            if execution.state is ApplicationState.NEW:
                self._create_again(execution)
            elif execution.state in _BEFORE_THE_DRIVER and any(map(own_secret_of, execution.manifests)):
                self._insist("token", execution.id, partial(self._give_token_again, execution.id))

    async def aclose(self) -> None:
        """Follow nothing any more; applications go on."""
        tasks = list(self._insisting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is tried until it succeeds ----------------------------------------------------------

    def _create_again(self, execution: ApplicationExecution) -> None:
        if execution.id not in self._starting and execution.manifests:
            manifest, execution_id = execution.manifests[0], execution.id
            self._insist("create", execution_id, lambda: self._create(manifest, execution_id))

    def _stop_again(self, execution: ApplicationExecution) -> None:
        if execution.manifests:
            self._insist("stop", execution.id, lambda: self._stop(execution.id))

    def _insist(self, what: str, execution_id: str, attempt: Attempt) -> None:
        key = f"{what} {execution_id}"
        if key not in self._insisting:
            task = asyncio.create_task(self._until_done(key, attempt), name=key)
            self._insisting[key] = task
            task.add_done_callback(lambda _: self._insisting.pop(key, None))

    async def _until_done(self, key: str, attempt: Attempt) -> None:
        async def carefully() -> None:
            try:
                await attempt()
            except ApplicationExecutionNotFound:
                return
            except (Unavailable, PyMongoError):
                raise
            except Exception as error:  # whatever it was, it has to be done
                logger.exception("%s: failed", key)
                raise Unavailable(type(error).__name__) from error

        await until_done(key, carefully, _BACK_OFF)

    async def _create(self, manifest: Manifest, execution_id: str) -> None:
        """Create what was stored, unless it is not wanted any more; a refusal is recorded."""
        execution = await self._executions.get(execution_id)
        if execution.state.is_final or execution.stop_reason is not None:
            return
        try:
            created = await self._applications.create(manifest, self._namespace(manifest))
        except Unavailable as error:
            if self._is_given_up(execution_id, error):
                await self._record_refused(execution_id, f"{_GIVEN_UP} {error}")
                return
            await self._note(execution_id, {"state_reason": f"Not created yet: {error}"})
            raise
        except (InvalidRequest, Conflict) as error:
            await self._record_refused(execution_id, str(error))
            return
        self._unknown.pop(execution_id, None)
        await self._give_token(manifest, created, execution_id)
        await self._record_created(execution_id, created)

    def _is_given_up(self, execution_id: str, error: Unavailable) -> bool:
        """Whether the API server was asked often enough, and answered, without saying what became of it.

        One that cannot be reached is waited for.
        """
        if not (isinstance(error, KubernetesUnavailable) and error.outcome_unknown):
            return False
        count = self._unknown[execution_id] = self._unknown.get(execution_id, 0) + 1
        if count < _MOST_UNKNOWN:
            return False
        del self._unknown[execution_id]
        return True

    async def _record_refused(self, execution_id: str, reason: str) -> None:
        self._unknown.pop(execution_id, None)
        await self._executions.record_state(
            execution_id, ApplicationState.SUBMISSION_FAILED, reason, fields={"end_time": utc_now()}
        )

    async def _give_token(self, manifest: Manifest, resource: dict[str, Any], execution_id: str) -> None:
        if self._listener_secrets is not None:
            namespace = self._namespace(manifest)
            await self._listener_secrets.create(manifest, resource, namespace, execution_id)

    async def _give_token_again(self, execution_id: str) -> None:
        """Where its resource is there, and may be without its Secret."""
        execution = await self._executions.get(execution_id)
        if execution.state.is_final or execution.stop_reason is not None:
            return
        [manifest] = execution.manifests
        resource = await self._applications.find(manifest["metadata"]["name"], self._namespace(manifest))
        if resource is not None:
            await self._give_token(manifest, resource, execution_id)

    async def _record_created(self, execution_id: str, resource: dict[str, Any]) -> None:
        version = version_of(resource)
        # What has gone on already, as one that a service before created, is for the watch to record.
        is_as_created = version.isdecimal() and self._dialect.observe(resource).is_waiting
        await self._executions.record_state(
            execution_id,
            ApplicationState.PENDING,
            self._dialect.observe({}).reason,
            only_from={ApplicationState.NEW},
            version=int(version) if is_as_created else None,
        )
        execution = await self._executions.get(execution_id)
        if execution.stop_reason is not None:  # its end was asked for meanwhile
            self._stop_again(execution)

    async def _stop(self, execution_id: str) -> None:
        execution = await self._executions.get(execution_id)
        metadata, namespace = execution.manifests[0]["metadata"], namespace_of(execution, self._namespaces[0])
        resource = await self._find_own(execution_id, metadata["name"], namespace)
        fields: dict[str, Any] = {"end_time": None}  # what is gone already went when nobody looked
        if resource is not None:
            observation = self._dialect.observe(resource)
            if observation.is_final and not execution.state.is_final:
                return  # it has ended by itself, which the watch records
            await self._logs.keep(execution, observation.driver_pod)
            await self._applications.delete(metadata["name"], namespace)
            fields = {**observation.fields, "end_time": utc_now()}
        reason = execution.stop_reason or ""
        await self._executions.record_state(execution_id, ApplicationState.KILLED, reason, fields=fields)

    async def _find_own(self, execution_id: str, name: str, namespace: str) -> dict[str, Any] | None:
        """The resource of an execution; one of this name that is labelled as another's is left alone."""
        found = await self._applications.find(name, namespace)
        is_anothers = found is not None and execution_id_of_resource(found) not in (None, execution_id)
        return None if is_anothers else found

    async def _remove(self, execution: ApplicationExecution, reason: str) -> None:
        """Delete the resource of what has failed, and whose driver reports; its state stays."""
        name, namespace = execution.manifests[0]["metadata"]["name"], self._namespace(execution.manifests[0])

        async def remove() -> None:
            await self._logs.keep(execution)
            if await self._find_own(execution.id, name, namespace) is not None:
                await self._applications.delete(name, namespace)
            await self._executions.record_driver_ended(execution.id, reason)

        try:
            await remove()
        except Unavailable as error:
            self._insist("remove", execution.id, remove)
            raise Unavailable(f"{error} The driver is ended as soon as Kubernetes answers.") from error

    async def _note(self, execution_id: str, fields: Mapping[str, Any]) -> None:
        try:
            await self._executions.note(execution_id, fields)
        except PyMongoError as error:
            logger.warning("%s: could not be noted: %s", execution_id, error)

    def _namespace(self, manifest: Manifest) -> str:
        """Raises InvalidRequest for one that the operator of the service has not opened."""
        namespace = str(manifest["metadata"].get("namespace") or self._namespaces[0])
        if namespace not in self._namespaces:
            allowed = ", ".join(self._namespaces)
            raise InvalidRequest(f"The namespace {namespace} may not be used; these may: {allowed}.")
        return namespace
