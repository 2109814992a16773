"""SparkApplication resources, and their driver pods' logs, on the API server."""

import json
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from common.errors import NotFound, ServiceError
from submission.kubernetes.client import Kubernetes
from submission.kubernetes.errors import (
    Access,
    KubernetesConflict,
    KubernetesNotFound,
    KubernetesRefused,
    KubernetesUnavailable,
    error_of,
)
from submission.manifest.build import EXECUTION_LABEL, Manifest

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MANAGED_BY_US = "app.kubernetes.io/managed-by=enel-service"
DRIVER_CONTAINER = "spark-kubernetes-driver"

_GROUP = "sparkoperator.k8s.io"
_RESOURCE = f"sparkapplications.{_GROUP}"
_PAGE = 250
_CREATIONS = 3
_WATCH_GRACE_SECONDS = 15.0
"""What an API server may take longer than asked to end a watch; then the connection is taken for dead."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\S+")

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
    """Creates, reads, watches and deletes SparkApplications."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes

    async def create(self, manifest: Manifest, namespace: str) -> Json:
        """The created resource, or the one that an earlier attempt for the same execution has created.

        A creation whose answer got lost is looked for by its name; only where it is not there it is
        repeated, which the name makes safe: whichever comes second finds the first.

        Raises:
            KubernetesRefused: It was not created.
            KubernetesConflict: The name belongs to something else.
            KubernetesUnavailable: Not created, or where `outcome_unknown`, perhaps; what a later attempt
                says for certain says nothing about an earlier one.
        """
        name = str(manifest["metadata"]["name"])
        is_unknown = False
        for attempt in range(1, _CREATIONS + 1):
            try:
                answer = await self._kubernetes.request(
                    "POST",
                    _path(namespace),
                    Access("create", _RESOURCE, namespace),
                    query={"fieldValidation": "Strict"},
                    body=manifest,
                )
                return answer.json()
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
            a `field` and a `message` each.
        Raises:
            KubernetesUnavailable: It says nothing.
        """
        try:
            answer = await self._kubernetes.request(
                "POST",
                _path(namespace),
                Access("create", _RESOURCE, namespace),
                query={"dryRun": "All", "fieldValidation": "Strict"},
                body=manifest,
                changes_nothing=True,
            )
        except (KubernetesRefused, KubernetesConflict) as error:
            errors = error.members.get("errors", [])
            return {"accepted": False, "status": error.status, "reason": str(error), "errors": errors}
        return {"accepted": True, "warnings": list(answer.warnings)}

    async def find(self, name: str, namespace: str) -> Json | None:
        try:
            answer = await self._kubernetes.request(
                "GET", _path(namespace, name), Access("get", _RESOURCE, namespace)
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
        access = Access("list", _RESOURCE, namespace)
        while True:
            page = (await self._kubernetes.request("GET", _path(namespace), access, query=query)).json()
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            following = metadata.get("continue")
            if not following or limit is not None:
                return items, str(metadata.get("resourceVersion", ""))
            query["continue"] = following

    async def watch(self, namespace: str, version: str, seconds: int) -> AsyncGenerator[Change, None]:
        """Changes after a version, until the API server ends the watch after some seconds.

        Raises:
            ResourceVersionExpired: List again.
            ServiceError: Whatever else ends it.
        """
        access = Access("watch", _RESOURCE, namespace)
        query = {
            "watch": "true",
            "labelSelector": MANAGED_BY_US,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        lines = self._kubernetes.lines(
            _path(namespace), access, query, seconds=seconds + _WATCH_GRACE_SECONDS
        )
        async with aclosing(lines):
            async for line in lines:
                event = _parsed(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise error_of(int(status.get("code") or 500), json.dumps(status), None, access)
                yield Change(event["type"], event["object"])

    async def delete(self, name: str, namespace: str) -> bool:
        """Whether it was there. The operator and the cluster's garbage collection delete the pods."""
        try:
            await self._kubernetes.request(
                "DELETE",
                _path(namespace, name),
                Access("delete", _RESOURCE, namespace),
                query={"propagationPolicy": "Background"},
            )
        except KubernetesNotFound:
            return False
        return True

    # --- the driver's log -------------------------------------------------------------------------

    async def read_log(
        self, pod: str, namespace: str, tail_lines: int | None, limit_bytes: int | None = None
    ) -> str | None:
        """The last lines of a pod's log, None: all; None where there is no pod, or nothing runs in it."""
        query = {"container": DRIVER_CONTAINER}
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        if limit_bytes is not None:
            query["limitBytes"] = str(limit_bytes)
        try:
            answer = await self._kubernetes.request(
                "GET", _log_path(namespace, pod), Access("get", "pods/log", namespace), query=query
            )
        except (NotFound, KubernetesRefused):  # refused with 400 while the container is being created
            return None
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
                stamp, _, text = line.decode(errors="replace").rstrip("\r\n").partition(" ")
                if _STAMP.fullmatch(stamp):
                    yield stamp, text
                else:  # the node's own words, such as why it cannot read on
                    logger.debug("%s: instead of a line of its log: %s", pod, line[:200])


def version_of(resource: Json) -> str:
    return str(resource.get("metadata", {}).get("resourceVersion", ""))


def execution_id_of_resource(resource: Json) -> str | None:
    labels = resource.get("metadata", {}).get("labels") or {}
    return labels.get(EXECUTION_LABEL)


def _path(namespace: str, name: str | None = None) -> str:
    collection = f"/apis/{_GROUP}/v1beta2/namespaces/{quote(namespace, safe='')}/sparkapplications"
    return collection if name is None else f"{collection}/{quote(name, safe='')}"


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
