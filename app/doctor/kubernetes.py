"""Kubernetes: whether it answers, knows the operator's resources, and lets the service do its work."""

from app.doctor.finding import Finding, Verdict, ok, skipped, wrong
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
from submission.manifest.build import Manifest
from submission.manifest.template import SETTING

_KUBERNETES, _RIGHTS, _MANIFESTS = "Kubernetes", "Rights", "Manifests"


async def check_kubernetes(settings: KubernetesSettings, manifest: Manifest | None) -> list[Finding]:
    """A finding about the connection, one for each namespace, and one about manifests.

    Args:
        manifest: An example, which the API server is asked about and does not keep.
    """
    if not settings.is_configured:
        return [skipped(_KUBERNETES, "applications run on this machine (no KUBECONFIG, KUBERNETES_ENDPOINT)")]
    try:
        async with kubernetes_client(settings) as kubernetes:
            return await _look(kubernetes, settings, manifest)
    except StartError as error:
        return [wrong(_KUBERNETES, str(error), f"Mend {settings.setting}.")]


async def _look(
    kubernetes: Kubernetes, settings: KubernetesSettings, manifest: Manifest | None
) -> list[Finding]:
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
    if manifest is not None and all(finding.verdict is Verdict.OK for finding in found):
        found.append(await _try_manifest(SparkApplications(kubernetes, dialect), manifest))
    return [
        ok(
            _KUBERNETES,
            f"the API server answers ({settings.setting}); applications are for the {dialect.operator}",
        ),
        *found,
    ]


async def _try_manifest(applications: SparkApplications, manifest: Manifest) -> Finding:
    """What the template says in depth only the API server knows."""
    try:
        verdict = await applications.dry_run(manifest, str(manifest["metadata"]["namespace"]))
    except ServiceError as error:
        verdict = {"accepted": False, "reason": str(error)}
    if verdict["accepted"]:
        warnings = "; ".join(verdict.get("warnings") or ())
        return ok(_MANIFESTS, f"the API server takes them{f', and warns: {warnings}' if warnings else ''}")
    errors = "; ".join(f"{each['field']}: {each['message']}" for each in verdict.get("errors") or ())
    mend = f"Mend {SETTING}, or what the API server's policies ask for (docs/manifests.md)."
    return wrong(_MANIFESTS, f"the API server refuses them: {errors or verdict['reason']}", mend)


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
