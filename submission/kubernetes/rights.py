"""What the service's role has to allow, and whether it does."""

from typing import NamedTuple

from submission.kubernetes.client import Kubernetes
from submission.kubernetes.dialect import Dialect
from submission.kubernetes.errors import Access

REVIEWS = "selfsubjectaccessreviews.authorization.k8s.io"
"""Anybody may ask what they may."""


class Right(NamedTuple):
    """A verb on a resource, as RBAC names them."""

    verb: str
    group: str
    resource: str
    subresource: str = ""

    @property
    def of(self) -> str:
        """The resource, as `Access` names it."""
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{name}.{self.group}" if self.group else name

    def __str__(self) -> str:
        return f"{self.verb} {self.of}"


def needed_rights(dialect: Dialect) -> tuple[Right, ...]:
    """In every namespace where applications run; a test compares them with the chart's Role."""
    return (
        *(
            Right(verb, dialect.group, "sparkapplications")
            for verb in ("create", "delete", "get", "list", "watch")
        ),
        Right("get", "", "pods", "log"),
        Right("create", "", "secrets"),
    )


async def missing_rights(kubernetes: Kubernetes, namespace: str, dialect: Dialect) -> list[Right]:
    """Those of `needed_rights` that whoever asks does not have there.

    Raises:
        ServiceError: The API server does not say.
    """
    return [right for right in needed_rights(dialect) if not await _is_allowed(kubernetes, namespace, right)]


async def _is_allowed(kubernetes: Kubernetes, namespace: str, right: Right) -> bool:
    attributes = {**right._asdict(), "namespace": namespace}
    answer = await kubernetes.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        Access("create", REVIEWS, namespace),
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
        changes_nothing=True,
    )
    return bool(answer.json().get("status", {}).get("allowed"))
