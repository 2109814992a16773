"""What manifests can say and Apache's operator has nothing for, and what to write instead."""

import re
from collections.abc import Iterator
from typing import Any

from common.errors import InvalidRequest
from submission.manifest.build import Manifest
from submission.manifest.platform import refused_fields

Json = dict[str, Any]

_BY_TEMPLATE = "SPARK_APPLICATION_TEMPLATE"

_SPEC = {
    "monitoring": "set spark.ui.prometheus.enabled and spark.metrics.conf.* in spark_conf",
    "batchScheduler": f"set driver.schedulerName and executor.schedulerName in {_BY_TEMPLATE},"
    " or the label of a queue (kueue.x-k8s.io/queue-name)",
    "batchSchedulerOptions": "use labels and annotations that the scheduler reads",
    "driverIngressOptions": "create the Ingress apart from the application",
    "driverPodDisruptionBudget": "create the PodDisruptionBudget apart from the application",
    "sparkConfigMap": "set the properties in spark_conf, or mount the ConfigMap by volumes",
    "sparkUIOptions": "create the Service apart from the application",
}
_POD = {
    "configMaps": "use volumes and volumeMounts",
    "secrets": "use volumes and volumeMounts",
    "gpu": f"set spark.{{role}}.resource.gpu.amount and .vendor in the sparkConf of {_BY_TEMPLATE}",
    "kubernetesMaster": "leave it out: drivers ask the API server of their own cluster",
    "memoryLimit": "leave it out: Spark's limit is the memory with its overhead",
    "template": "set its parts by fields of their own, such as volumes, tolerations and sidecars",
}
_ROLES = ("driver", "executor")

REFUSED = {
    **_SPEC,
    **{f"{role}.{field}": instead.format(role=role) for role in _ROLES for field, instead in _POD.items()},
}
"""Fields of a manifest's `spec`, to what to write instead."""

_OLDEST = (3, 5)
_VERSION = re.compile(r"(\d+)\.(\d+)")


def check(manifest: Manifest) -> None:
    """Return if there is something for all of it.

    Raises:
        InvalidRequest: There is not; it names everything at once, in `errors` by field.
    """
    found = dict(_refused(manifest["spec"]))
    if not found:
        return
    said = "; ".join(f"{field}: {message}" for field, message in found.items())
    error = InvalidRequest(f"Apache's spark-operator has nothing for what is asked. {said}.")
    error.members["errors"] = [{"field": field, "message": message} for field, message in found.items()]
    raise error


def _refused(spec: Json) -> Iterator[tuple[str, str]]:
    """Field and what to write instead."""
    yield from refused_fields(spec, REFUSED)
    if spec["type"] != "Python" and not spec.get("mainClass"):
        yield "main_class", "name the class: nothing reads it from the jar"
    version = _VERSION.match(str(spec.get("sparkVersion", "")))
    if version is not None and (int(version[1]), int(version[2])) < _OLDEST:
        yield "sparkVersion", "use Spark 3.5 or newer"
