"""What a refusal of the Kubernetes API server means, in words of our own."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from common.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from submission.causes import cause_of

_LONGEST_MESSAGE = 600
_MOST_CAUSES = 20
_RBAC = re.compile(
    r'^(?:[\w./-]+(?: "[^"]*")? is )?(?:forbidden: )?User "(?P<user>[^"]*)" cannot \w+ (?:resource|path) '
)
"""From its beginning: a policy's own words may say the same further on."""
_ENDING = re.compile(r"\bis being terminated\b|\bis terminating\b")
"""A namespace, or a CustomResourceDefinition."""
_POLICY = re.compile(r"denied (?:the )?request")
_FORBIDDEN_RETRY_SECONDS = 60
_TOO_LARGE = re.compile(r"request is too large|larger than max")
"""What etcd and its client say, as a 500: nothing is stored, and nothing will be."""


@dataclass(frozen=True)
class Access:
    """What a request does to what, as RBAC names it."""

    verb: str
    resource: str
    """With its API group, such as `sparkapplications.sparkoperator.k8s.io`, or `pods/log`."""
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in the namespace {self.namespace}"


class KubernetesUnavailable(Unavailable):
    """The API server cannot be used now."""

    title = "Kubernetes cannot be used now"

    def __init__(
        self, detail: str, *, outcome_unknown: bool = False, look_at: str = "", retry_after_seconds: int = 5
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.outcome_unknown = outcome_unknown
        """Whether the request may have been carried out all the same."""
        self.look_at = look_at
        """Settings to look at if that was never different."""


class KubernetesForbidden(KubernetesUnavailable):
    """RBAC lacks a rule for the service; a caller cannot help it."""

    title = "Kubernetes gives the service no permission"


class ResourceKindMissing(KubernetesUnavailable):
    title = "The spark-operator is not installed in the cluster"


class KubernetesRefused(InvalidRequest):
    """The API server, or an admission rule of the cluster, does not accept what was sent."""

    title = "Kubernetes refuses the application"


class KubernetesConflict(Conflict):
    """There is a resource of this name, or it was changed meanwhile."""


class KubernetesNotFound(NotFound):
    title = "Not found in Kubernetes"


class DriverWaits(KubernetesNotFound):
    """A driver has no log, because nothing runs in its pod; the message has the API server's reason."""

    title = "The driver has not started"


class ResourceVersionExpired(ServiceError):
    """A watch cannot go on where it ended: the API server has forgotten what happened since."""

    status, title = 410, "The resource version is too old"


def error_of(
    code: int, body: str, headers: Mapping[str, str] | None, access: Access, *, outcome_unknown: bool = False
) -> ServiceError:
    """The error for an answer of 400 and above.

    Args:
        body: The answer; a `Status` as JSON, where the API server itself has answered.
        outcome_unknown: Whether a 5xx leaves open if the request was carried out.
    """
    status = _status(body)
    said = str(status.get("message") or "").strip()
    message = cause_of(said, _LONGEST_MESSAGE) or _plain_text(body)
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    if code == 401:
        return KubernetesUnavailable(
            "The API server does not know who asks: the service's credentials are refused.",
            look_at="KUBECONFIG or KUBERNETES_API_KEY",
        )
    if code in (403, 405, 409) and _ENDING.search(said) and not _POLICY.search(said):
        return KubernetesUnavailable(
            f"Nothing can be created there now: {message}.", retry_after_seconds=_FORBIDDEN_RETRY_SECONDS
        )
    if code == 403:
        return _forbidden(status, message, access)
    if code == 404:
        return _not_found(details, access)
    if code == 409:
        return KubernetesConflict(message or f"Conflict on {access}.")
    if code == 410:
        return ResourceVersionExpired(message or "The resource version is too old.")
    if code == 413 or _TOO_LARGE.search(said):
        return KubernetesRefused(f"The cluster cannot hold it: {message or 'status 413'}.")
    if code == 429 or code >= 500:
        return KubernetesUnavailable(
            f"The API server answers {code} to {access}: {message or 'no reason given'}.",
            outcome_unknown=outcome_unknown and code != 429,
            retry_after_seconds=_retry_after(headers),
        )
    return _refused(message or f"status {code}", details)


def _forbidden(status: Mapping[str, Any], message: str, access: Access) -> ServiceError:
    by_rbac = _RBAC.search(message)
    if status and not by_rbac:  # a quota, or a policy
        details = status.get("details")
        return _refused(message or "forbidden", details if isinstance(details, dict) else {})
    user = f" ({by_rbac['user']})" if by_rbac else ""
    return KubernetesForbidden(
        f"The service{user} may not {access}: its role lacks that rule.",
        look_at="the role of the service",
        retry_after_seconds=_FORBIDDEN_RETRY_SECONDS,
    )


def _not_found(details: Mapping[str, Any], access: Access) -> ServiceError:
    name, kind = details.get("name"), details.get("kind")
    if kind == "namespaces":
        return KubernetesRefused(f"There is no namespace {name} in the cluster.")
    if name:
        return KubernetesNotFound(
            f"There is no {access.resource} {name} in the namespace {access.namespace}."
        )
    operator = "Apache's" if access.resource.endswith(".spark.apache.org") else "the Kubeflow"
    return ResourceKindMissing(
        f"The cluster does not know {access.resource}: install {operator} spark-operator with its"
        " CustomResourceDefinitions.",
        look_at="the spark-operator",
        retry_after_seconds=_FORBIDDEN_RETRY_SECONDS,
    )


def _refused(message: str, details: Mapping[str, Any]) -> KubernetesRefused:
    error = KubernetesRefused(message)
    causes = details.get("causes")
    if isinstance(causes, list) and causes:
        error.members["errors"] = [
            {
                "field": str(cause.get("field") or ""),
                "message": cause_of(str(cause.get("message") or cause.get("reason") or ""), _LONGEST_MESSAGE),
            }
            for cause in causes[:_MOST_CAUSES]
            if isinstance(cause, dict)
        ]
    return error


def _status(body: str) -> dict[str, Any]:
    with suppress(ValueError):
        status = json.loads(body)
        if isinstance(status, dict) and status.get("kind") == "Status":
            return status
    return {}


def _plain_text(body: str) -> str:
    """Of an API server that has too much to do, or of what stands before it; nothing of pages and JSON."""
    text = body.strip()
    return "" if not text or text[0] in "<{[" or len(text) > _LONGEST_MESSAGE else text.rstrip(".")


def _retry_after(headers: Mapping[str, str] | None) -> int:
    value = (headers or {}).get("Retry-After", "")
    return min(max(int(value), 1), 600) if value.isdecimal() else 5
