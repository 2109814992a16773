"""SparkApplication resources, and their driver pods' logs, on the API server."""

import json
import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from common.errors import NotFound, ServiceError
from submission.kubernetes.client import Kubernetes
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.errors import (
    Access,
    DriverWaits,
    KubernetesConflict,
    KubernetesNotFound,
    KubernetesRefused,
    KubernetesUnavailable,
    ResourceVersionExpired,
    error_of,
)
from submission.kubernetes.kubeflow import KUBEFLOW
from submission.kubernetes.states import as_object
from submission.log_lines import told_lines
from submission.manifest.build import EXECUTION_LABEL, Manifest

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MANAGED_BY_US = "app.kubernetes.io/managed-by=enel-service"
DRIVER_CONTAINER = "spark-kubernetes-driver"

MOST_MANIFEST_BYTES = 1 << 20
"""etcd takes 1.5 MiB by default, with the status and what the API server keeps beside it."""

_PAGE = 250
_CREATIONS = 3
_LISTS = 3
"""Times that a list in pages is begun anew before somebody hears of it."""
_KINDS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
_WATCH_GRACE_SECONDS = 15.0
"""What an API server may take longer than asked to end a watch; then the connection is taken for dead."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+")

_WAITS = re.compile(r'^container "[^"]*" in pod "[^"]*" is waiting to start: ')
_IN_THE_MAKING = ("ContainerCreating", "PodInitializing")

_SILENCE_SECONDS = 90.0
"""A driver may say nothing for long; after this, the log is asked for again from where it stopped."""


@dataclass(frozen=True)
class Change:
    """One event of a watch; a BOOKMARK only says how far it has come."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    resource: Json

    @property
    def version(self) -> str:
        return version_of(self.resource)


class SparkApplications:
    """Creates, reads, watches and deletes SparkApplications.

    Args:
        dialect: Of the operator that carries them out.
    """

    def __init__(self, kubernetes: Kubernetes, dialect: Dialect = KUBEFLOW) -> None:
        self._kubernetes = kubernetes
        self.dialect = dialect

    async def create(self, manifest: Manifest, namespace: str) -> Json:
        """The created resource, or the one that an earlier attempt for the same execution has created.

        `warnings`, which is no field of a resource, has what admission policies said to it, if anything.

        A creation whose answer got lost is looked for by its name; only where it is not there it is
        repeated, which the name makes safe: whichever comes second finds the first.

        Raises:
            InvalidRequest: The operator has nothing for what the manifest says.
            KubernetesRefused: It was not created.
            KubernetesConflict: The name belongs to something else.
            KubernetesUnavailable: Not created, or where `outcome_unknown`, perhaps; what a later attempt
                says for certain says nothing about an earlier one.
        """
        resource = self.dialect.render(manifest)
        _check_size(resource)
        name = str(manifest["metadata"]["name"])
        is_unknown = False
        for attempt in range(1, _CREATIONS + 1):
            try:
                answer = await self._kubernetes.request(
                    "POST",
                    self.dialect.path(namespace),
                    Access("create", self.dialect.resource, namespace),
                    query={"fieldValidation": "Strict"},
                    body=resource,
                )
                created = answer.json()
                return {**created, "warnings": list(answer.warnings)} if answer.warnings else created
            except KubernetesConflict as error:
                try:
                    existing = await self.find(name, namespace)
                except KubernetesUnavailable as unreadable:
                    unreadable.outcome_unknown = True  # it is there, and may be ours
                    raise
                if existing is not None:
                    if execution_id_of_resource(existing) == execution_id_of_resource(manifest):
                        return existing
                    raise KubernetesConflict(
                        f"There is another SparkApplication {name} in the namespace {namespace}."
                    ) from error
                if attempt == _CREATIONS:
                    raise
            except KubernetesUnavailable as error:
                may_repeat = error.outcome_unknown and attempt < _CREATIONS
                is_unknown = error.outcome_unknown = is_unknown or error.outcome_unknown
                if not is_unknown:
                    raise
                with suppress(ServiceError):
                    if existing := await self._find_own(manifest, namespace):
                        logger.info("%s: was created, although the answer was: %s", name, error)
                        return existing
                if not may_repeat:
                    raise
            except KubernetesRefused as error:
                # A quota counts what an earlier attempt has created.
                if is_unknown and (existing := await self._find_own(manifest, namespace)):
                    logger.info("%s: was created, although the answer was: %s", name, error)
                    return existing
                raise
        raise AssertionError("the loop above returns or raises")

    async def dry_run(self, manifest: Manifest, namespace: str) -> Json:
        """What the API server says to a manifest without creating it, as JSON.

        Returns:
            `accepted`, the API server's `warnings`; of a refusal its `reason`, `status` and `errors`,
            a `field` and a `message` each. Where it is not the manifest itself, `resource` is what was sent.
        Raises:
            InvalidRequest: The operator has nothing for what the manifest says.
            KubernetesUnavailable: It says nothing.
        """
        resource = self.dialect.render(manifest)
        sent = {} if resource == manifest else {"resource": resource}
        try:
            _check_size(resource)
            answer = await self._kubernetes.request(
                "POST",
                self.dialect.path(namespace),
                Access("create", self.dialect.resource, namespace),
                query={"dryRun": "All", "fieldValidation": "Strict"},
                body=resource,
                changes_nothing=True,
            )
        except (KubernetesRefused, KubernetesConflict) as error:
            errors = error.members.get("errors", [])
            refusal = {"status": error.status, "reason": str(error), "errors": errors}
            return {"accepted": False, **refusal, **sent}
        return {"accepted": True, "warnings": list(answer.warnings), **sent}

    async def find(self, name: str, namespace: str) -> Json | None:
        try:
            answer = await self._kubernetes.request(
                "GET", self.dialect.path(namespace, name), Access("get", self.dialect.resource, namespace)
            )
        except KubernetesNotFound:
            return None
        return answer.json()

    async def _find_own(self, manifest: Manifest, namespace: str) -> Json | None:
        """The resource that an earlier attempt for the same execution has created.

        Raises:
            KubernetesUnavailable: Perhaps there is one.
        """
        try:
            existing = await self.find(str(manifest["metadata"]["name"]), namespace)
        except KubernetesUnavailable as error:
            error.outcome_unknown = True
            raise
        is_own = existing and execution_id_of_resource(existing) == execution_id_of_resource(manifest)
        return existing if is_own else None

    async def ours(self, namespace: str, *, limit: int | None = None) -> tuple[list[Json], str]:
        """The service's resources in a namespace, and the version from which to watch.

        Args:
            limit: Ask for that many only, to see whether asking works.
        """
        items: list[Json] = []
        query = {"labelSelector": MANAGED_BY_US, "limit": str(limit or _PAGE)}
        access = Access("list", self.dialect.resource, namespace)
        lists = 1
        while True:
            try:
                answer = await self._kubernetes.request(
                    "GET", self.dialect.path(namespace), access, query=query
                )
            except ResourceVersionExpired:  # what the pages so far are of was compacted away
                if "continue" not in query or lists == _LISTS:
                    raise
                lists += 1
                items.clear()
                del query["continue"]
                continue
            page = answer.json()
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            following = metadata.get("continue")
            if not following or limit is not None:
                return items, str(metadata.get("resourceVersion", ""))
            query["continue"] = following

    async def watch(
        self, namespace: str, version: str, seconds: int, opened: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[Change, None]:
        """Changes after a version, until the API server ends the watch after some seconds.

        Args:
            opened: Called when the API server has accepted the watch.
        Raises:
            ResourceVersionExpired: List again; whatever the API server says inside a watch comes to that, as
                a version that is too large for it after etcd was restored.
            ServiceError: Whatever else ends it.
        """
        access = Access("watch", self.dialect.resource, namespace)
        query = {
            "watch": "true",
            "labelSelector": MANAGED_BY_US,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        lines = self._kubernetes.lines(
            self.dialect.path(namespace), access, query, seconds=seconds + _WATCH_GRACE_SECONDS, opened=opened
        )
        async with aclosing(lines):
            async for line in lines:
                event = _parsed(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    code = status.get("code")
                    code = code if isinstance(code, int) and code >= 400 else 500
                    error = error_of(code, json.dumps(status), None, access)
                    raise ResourceVersionExpired(str(error)) from error
                if event["type"] in _KINDS:
                    yield Change(event["type"], event["object"])
                else:  # of a later version, or of something in between
                    logger.info("%s: an event %.100r, which is not known here", namespace, event["type"])

    async def delete(self, name: str, namespace: str) -> bool:
        """Whether it was there. The operator and the cluster's garbage collection delete the pods."""
        try:
            await self._kubernetes.request(
                "DELETE",
                self.dialect.path(namespace, name),
                Access("delete", self.dialect.resource, namespace),
                query={"propagationPolicy": "Background"},
            )
        except KubernetesNotFound:
            return False
        return True

    # --- the driver's log -------------------------------------------------------------------------

    async def read_log(
        self, pod: str, namespace: str, tail_lines: int | None, limit_bytes: int | None = None
    ) -> str | None:
        """The last lines of a pod's log, None: all; None where there is no pod.

        Raises:
            DriverWaits: Nothing runs in it.
        """
        query = {"container": DRIVER_CONTAINER}
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        if limit_bytes is not None:
            query["limitBytes"] = str(limit_bytes)
        try:
            answer = await self._kubernetes.request(
                "GET", _log_path(namespace, pod), Access("get", "pods/log", namespace), query=query
            )
        except NotFound:
            return None
        except KubernetesRefused as error:
            raise DriverWaits(f"Its driver has not started: {_waits_for(str(error))}") from error
        return answer.text()

    async def follow_log(
        self, pod: str, namespace: str, tail_lines: int | None, since: str | None
    ) -> AsyncGenerator[tuple[str, str], None]:
        """Time stamp and text of each line, until the pod ends or the connection does.

        Args:
            tail_lines: How many of the earlier lines; None: all.
            since: A time stamp (RFC 3339) before which nothing is wanted.
        Raises:
            ServiceError: As `Kubernetes.lines`; KubernetesRefused where nothing runs in the pod yet.
        """
        query = {"container": DRIVER_CONTAINER, "follow": "true", "timestamps": "true"}
        if since is not None:
            query["sinceTime"] = since
        elif tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        access = Access("get", "pods/log", namespace)
        lines = self._kubernetes.lines(
            _log_path(namespace, pod), access, query, silence_seconds=_SILENCE_SECONDS
        )
        async with aclosing(lines):
            async for line in lines:
                stamp, _, text = line.rstrip(b"\r").partition(b" ")
                if _STAMP.fullmatch(stamp.decode(errors="replace")):
                    for told in told_lines(text) or [""]:
                        yield stamp.decode(), told
                else:  # the node's own words, such as why it cannot read on
                    logger.debug("%s: instead of a line of its log: %s", pod, line[:200])


def _check_size(manifest: Manifest) -> None:
    """Raises KubernetesRefused where etcd would; a dry run does not reach it."""
    size_bytes = len(json.dumps(manifest).encode())
    if size_bytes > MOST_MANIFEST_BYTES:
        raise KubernetesRefused(
            f"The manifest has {size_bytes / 2**20:.1f} MiB ({size_bytes} bytes); a cluster holds resources"
            f" of {MOST_MANIFEST_BYTES / 2**20:g} MiB: hand data over as files, and name them."
        )


def _waits_for(message: str) -> str:
    """Why nothing runs in a pod, as the API server says it to whoever wants its log."""
    reason = _WAITS.sub("", message).strip().rstrip(".")
    if reason in _IN_THE_MAKING:
        return f"{reason}. If that lasts, a Secret, ConfigMap or volume that it mounts may be missing."
    return f"{reason}."


def version_of(resource: Json) -> str:
    return str(as_object(resource.get("metadata")).get("resourceVersion") or "")


def execution_id_of_resource(resource: Json) -> str | None:
    label = as_object(as_object(resource.get("metadata")).get("labels")).get(EXECUTION_LABEL)
    return label if isinstance(label, str) else None


def _log_path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log"


def _parsed(line: bytes) -> Json:
    try:
        event = json.loads(line)
        if isinstance(event["object"], dict) and isinstance(event["type"], str):
            return dict(event)
    except (ValueError, LookupError, TypeError) as error:
        raise KubernetesUnavailable("The API server's watch sent something that is no event.") from error
    raise KubernetesUnavailable("The API server's watch sent something that is no event.")
