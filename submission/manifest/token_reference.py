"""Where a driver on a platform with Secrets finds the token that its listener shows."""

from typing import Any

from submission.manifest.fields import Fields
from submission.manifest.options import ManifestOptions, SecretKey

TOKEN_VARIABLE = "ENEL_CALLBACK_TOKEN"  # noqa: S105 - a name
"""Environment variable in which a driver finds the token for its callbacks."""

TOKEN_KEY = "token"  # noqa: S105 - a name
"""Of a Secret that belongs to one application execution."""

_SUFFIX = "-listener"
"""Of such a Secret's name, after that of the SparkApplication."""


def add_token(spec: Fields, resource_name: str, options: ManifestOptions) -> None:
    """By reference: the operator turns this into `spark.kubernetes.driver.secretKeyRef`, with no webhook."""
    if not options.platform.token_by_secret:
        return
    secret = options.callback_token_secret
    if secret is None and options.token_per_execution:
        secret = SecretKey(resource_name + _SUFFIX, TOKEN_KEY)
    if secret is not None:
        references = spec["driver"].get("envSecretKeyRefs", {})
        token = {TOKEN_VARIABLE: {"name": secret.name, "key": secret.key}}
        spec["driver"]["envSecretKeyRefs"] = {**references, **token}


def own_secret_of(manifest: dict[str, Any]) -> str | None:
    """Name of the Secret that belongs to the manifest's execution alone; None: it refers to none."""
    references = manifest["spec"]["driver"].get("envSecretKeyRefs", {})
    name = str(references.get(TOKEN_VARIABLE, {}).get("name", ""))
    return name if name == manifest["metadata"]["name"] + _SUFFIX else None
