"""Kubernetes: whether it answers, knows the operator's resources, and lets the service do its work."""

from app.doctor.finding import Finding, ok, skipped, wrong
from app.wiring.platform import DIALECTS
from common.errors import ServiceError, StartError
from common.settings.kubernetes import KubernetesSettings
from submission.kubernetes.client import Kubernetes, kubernetes_client
from submission.kubernetes.errors import (
    KubernetesForbidden,
    KubernetesRefused,
    KubernetesUnavailable,
    ResourceKindMissing,
)
from submission.kubernetes.resources import SparkApplications
from submission.kubernetes.rights import missing_rights

_KUBERNETES, _RIGHTS = "Kubernetes", "Rights"


async def check_kubernetes(settings: KubernetesSettings) -> list[Finding]:
    """A finding about the connection, and one for each namespace."""
    if not settings.is_configured:
        return [skipped(_KUBERNETES, "applications run on this machine (no KUBECONFIG, KUBERNETES_ENDPOINT)")]
    try:
        async with kubernetes_client(settings) as kubernetes:
            return await _look(kubernetes, settings)
    except StartError as error:
        return [wrong(_KUBERNETES, str(error), f"Mend {settings.setting}.")]


async def _look(kubernetes: Kubernetes, settings: KubernetesSettings) -> list[Finding]:
    found: list[Finding] = []
    dialect = DIALECTS[settings.spark_operator]
    for namespace in settings.namespaces:
        try:
            missing = await missing_rights(kubernetes, namespace, dialect)
            if missing:
                found.append(_lacking(namespace, ", ".join(map(str, missing))))
                continue
            await SparkApplications(kubernetes, dialect).ours(namespace, limit=1)
        except ServiceError as error:
            return [*found, _unusable(error, settings)]
        found.append(ok(_RIGHTS, f"all that is needed in the namespace {namespace}"))
    return [
        ok(
            _KUBERNETES,
            f"the API server answers ({settings.setting}); applications are for the {dialect.operator}",
        ),
        *found,
    ]


def _lacking(namespace: str, missing: str) -> Finding:
    return wrong(
        _RIGHTS,
        f"who asks may not, in the namespace {namespace}: {missing}",
        f"Bind the chart's Role there (applications.namespaces: [{namespace}]), or another with these verbs.",
    )


def _unusable(error: ServiceError, settings: KubernetesSettings) -> Finding:
    if isinstance(error, ResourceKindMissing):
        return wrong(
            _KUBERNETES,
            str(error),
            "helm install spark-operator, with its CRDs (deploy/README.md), or mend SPARK_OPERATOR"
            f" ({settings.spark_operator}).",
        )
    if isinstance(error, KubernetesForbidden):
        return wrong(_RIGHTS, str(error), "Grant the rule that is named, as the chart's Role does.")
    if isinstance(error, KubernetesRefused):
        return wrong(_KUBERNETES, str(error), "Create the namespace, or set KUBERNETES_NAMESPACE.")
    look_at = error.look_at if isinstance(error, KubernetesUnavailable) else ""
    return wrong(_KUBERNETES, str(error), f"Look at {look_at or settings.setting}, and whether it is up.")
