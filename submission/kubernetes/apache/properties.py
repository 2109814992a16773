"""Spark properties that say what the other operator's resource has fields for."""

from collections.abc import Iterable, Iterator
from typing import Any

from submission.manifest.allowed import DEPENDENCIES
from submission.manifest.build import Manifest

Json = dict[str, Any]

_KUBERNETES = "spark.kubernetes."

_SPEC = {
    "image": f"{_KUBERNETES}container.image",
    "imagePullPolicy": f"{_KUBERNETES}container.image.pullPolicy",
    "hadoopConfigMap": f"{_KUBERNETES}hadoop.configMapName",
}
_POD = {
    "cores": "spark.{role}.cores",
    "memory": "spark.{role}.memory",
    "memoryOverhead": "spark.{role}.memoryOverhead",
    "instances": "spark.{role}.instances",
    "coreRequest": "spark.kubernetes.{role}.request.cores",
    "coreLimit": "spark.kubernetes.{role}.limit.cores",
    "image": "spark.kubernetes.{role}.container.image",
    "serviceAccount": "spark.kubernetes.authenticate.{role}.serviceAccountName",
    "schedulerName": "spark.kubernetes.{role}.scheduler.name",
    "deleteOnTermination": "spark.kubernetes.{role}.deleteOnTermination",
}
_POD_MAPS = {
    "labels": "spark.kubernetes.{role}.label.",
    "annotations": "spark.kubernetes.{role}.annotation.",
    "nodeSelector": "spark.kubernetes.{role}.node.selector.",
    "serviceLabels": "spark.kubernetes.{role}.service.label.",
    "serviceAnnotations": "spark.kubernetes.{role}.service.annotation.",
}
_ENVIRONMENT = {"driver": f"{_KUBERNETES}driverEnv.", "executor": "spark.executorEnv."}
_ALLOCATION = {
    "enabled": "enabled",
    "shuffleTrackingEnabled": "shuffleTracking.enabled",
    "initialExecutors": "initialExecutors",
    "minExecutors": "minExecutors",
    "maxExecutors": "maxExecutors",
}


def properties(manifest: Manifest) -> dict[str, str]:
    """All of them, those that the manifest names itself included."""
    spec = manifest["spec"]
    conf = {"spark.app.name": str(manifest["metadata"]["name"]), **spec.get("sparkConf", {})}
    conf |= {key: _text(value) for key, value in _of_spec(spec)}
    for role in ("driver", "executor"):
        conf |= {key: _text(value) for key, value in _of_pod(role, spec[role])}
        if options := spec[role].get("javaOptions"):
            key = f"spark.{role}.extraJavaOptions"
            conf[key] = f"{conf[key]} {options}" if key in conf else str(options)
    for key, values in _dependencies(spec):
        conf[key] = ",".join(dict.fromkeys([*filter(None, conf.get(key, "").split(",")), *values]))
    if spec["driver"].get("sidecars"):
        # Or the operator waits for them, too, before the driver counts as ended.
        conf[f"{_KUBERNETES}driver.podTemplateContainerName"] = "spark-kubernetes-driver"
    return conf


def _of_spec(spec: Json) -> Iterator[tuple[str, object]]:
    for field, key in _SPEC.items():
        if field in spec:
            yield key, spec[field]
    if secrets := spec.get("imagePullSecrets"):
        yield f"{_KUBERNETES}container.image.pullSecrets", ",".join(secrets)
    for key, value in spec.get("hadoopConf", {}).items():
        yield f"spark.hadoop.{key}", value
    for key, value in spec.get("nodeSelector", {}).items():
        yield f"{_KUBERNETES}node.selector.{key}", value
    for field, key in _ALLOCATION.items():
        if field in spec.get("dynamicAllocation", {}):
            yield f"spark.dynamicAllocation.{key}", spec["dynamicAllocation"][field]


def _of_pod(role: str, pod: Json) -> Iterator[tuple[str, object]]:
    for field, key in _POD.items():
        if field in pod:
            yield key.format(role=role), pod[field]
    for field, prefix in _POD_MAPS.items():
        for key, value in pod.get(field, {}).items():
            yield prefix.format(role=role) + key, value
    for name, value in pod.get("envVars", {}).items():
        yield _ENVIRONMENT[role] + name, value
    for variable in pod.get("env", []):
        if "value" in variable:
            yield _ENVIRONMENT[role] + variable["name"], variable["value"]
    for name, reference in pod.get("envSecretKeyRefs", {}).items():
        yield f"{_KUBERNETES}{role}.secretKeyRef.{name}", f"{reference['name']}:{reference['key']}"


def _dependencies(spec: Json) -> Iterator[tuple[str, Iterable[str]]]:
    deps = spec.get("deps", {})
    for field, key in DEPENDENCIES.items():
        if values := deps.get(field):
            yield key, values
    if jars := deps.get("jars"):
        # The resource's own `jars` is what the driver runs: naming one there would make Java of Python.
        yield "spark.jars", jars if spec["type"] == "Python" else [spec["mainApplicationFile"], *jars]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
