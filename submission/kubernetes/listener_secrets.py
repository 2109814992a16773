"""The token of a driver's listener, in a Secret of its own that goes with its SparkApplication.

It is created when the resource is there, so that it has an owner from the first moment on: the service
needs the right to create Secrets, and none to read, change or delete any. A driver that is quicker than
its Secret waits for it, as every pod does.
"""

from typing import Any

from submission.kubernetes.client import Kubernetes
from submission.kubernetes.errors import Access, KubernetesConflict, KubernetesForbidden
from submission.manifest.build import Manifest
from submission.manifest.token_reference import TOKEN_KEY, own_secret_of
from submission.runners import TokenFor

Json = dict[str, Any]

_HOW_ELSE = "Grant it (the chart's role has it), or set CALLBACK_TOKEN and CALLBACK_TOKEN_SECRET."


class ListenerSecrets:
    """Creates them.

    Args:
        token_for: Makes the token of an execution.
    """

    def __init__(self, kubernetes: Kubernetes, token_for: TokenFor) -> None:
        self._kubernetes = kubernetes
        self._token_for = token_for

    async def check(self, manifest: Manifest, namespace: str) -> None:
        """Return if the manifest's Secret could be created, or it refers to none of its own.

        Raises:
            KubernetesForbidden: The service may not create Secrets in this namespace.
            ServiceError: What the API server says otherwise.
        """
        name = own_secret_of(manifest)
        if name is not None:
            await self._post(_secret(name, "none", None), namespace, is_dry_run=True)

    async def create(self, manifest: Manifest, resource: Json, namespace: str, execution_id: str) -> None:
        """Create the Secret that the manifest refers to, where it does; one that is there stays.

        Args:
            resource: The SparkApplication as it was created: the Secret's owner.
        Raises:
            ServiceError: As `check`.
            pymongo.errors.PyMongoError: There is no token for it.
        """
        name = own_secret_of(manifest)
        if name is None:
            return
        token = await self._token_for(execution_id)
        try:
            await self._post(_secret(name, token, resource), namespace)
        except KubernetesConflict:
            return  # of an earlier attempt, and its token is as good

    async def _post(self, secret: Json, namespace: str, *, is_dry_run: bool = False) -> None:
        try:
            await self._kubernetes.request(
                "POST",
                f"/api/v1/namespaces/{namespace}/secrets",
                Access("create", "secrets", namespace),
                query={"dryRun": "All"} if is_dry_run else {},
                body=secret,
                changes_nothing=is_dry_run,
            )
        except KubernetesForbidden as error:
            raise KubernetesForbidden(f"{error} {_HOW_ELSE}", look_at=error.look_at) from error


def _secret(name: str, token: str, owner: Json | None) -> Json:
    metadata: Json = {"name": name, "labels": {"app.kubernetes.io/managed-by": "enel-service"}}
    if owner is not None:
        reference = {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        metadata["ownerReferences"] = [
            {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **reference}
        ]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": True,
        "stringData": {TOKEN_KEY: token},
    }
