"""The `SparkApplication` that a request describes; every runner carries out this very object.

Who decides on executors: the application starts with the initial scale-out, and only the
listener, in the driver, changes it. An adaptive application therefore has dynamic allocation
switched on, because Spark adds and removes executors on request in that mode, and muted by
timeouts of ten days, because Spark's own opinion would overrule the request. One that is not
adaptive has a fixed number of executors and no dynamic allocation at all.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.errors import InvalidRequest
from common.specs import ApplicationSpecs
from submission.sizes import spark_size
from submission.template_values import TemplateValues, as_uri, parse_template_values

Manifest = dict[str, Any]

API_VERSION = "sparkoperator.k8s.io/v1beta2"
KIND = "SparkApplication"
EXECUTION_LABEL = "enelservice.org/application-execution-id"
PLUGIN_CLASS = "org.enelservice.listener.EnelPlugin"
LISTENER_PREFIX = "spark.customExtraListener."

_LONGEST_NAME = 50
"""Of 63 characters of a DNS-1035 label; the operator appends `-driver`, `-ui-svc` and the like."""

_MUTED = "10d"
_MUTED_TIMEOUTS = (
    "schedulerBacklogTimeout",
    "sustainedSchedulerBacklogTimeout",
    "executorIdleTimeout",
    "cachedExecutorIdleTimeout",
    "shuffleTracking.timeout",
)


def bundled_examples(folder: Path) -> dict[str, str]:
    """Algorithm name to main application file, of the example programs in a folder."""
    return {"KMeans": str(folder / "kmeans.py")}


@dataclass(frozen=True)
class ManifestOptions:
    """What is the same for every application that this service submits."""

    callback_host: str
    callback_port: int
    listener_jar: str
    """Path or URL, as the driver sees it."""
    callback_timeout_seconds: float = 30.0
    callback_method: str = "http"
    examples: Mapping[str, str] = field(default_factory=dict)
    """Algorithm name to main application file, for requests that name none."""
    spark_version: str = field(default_factory=lambda: version("pyspark"))
    """Of a request that names none."""


def build_manifest(
    specs: ApplicationSpecs,
    application_execution_id: str,
    initial_scale_out: int,
    options: ManifestOptions,
    *,
    max_scale_out: int | None = None,
) -> Manifest:
    """Render the resource.

    Args:
        initial_scale_out: Executors to start with.
        max_scale_out: Upper bound in effect, where the platform allows less than the request.
    Raises:
        InvalidRequest: What the request says cannot be rendered, or the main application is missing.
    """
    values = parse_template_values(specs.spark_template_values)
    main_file = values.main_application_file or _example(specs.global_specs.algorithm_name, options)
    is_python = main_file.lower().endswith(".py")
    is_adaptive = specs.global_specs.solution_name != "static" and values.is_adaptive is not False
    bounds = {
        "initialExecutors": initial_scale_out,
        "minExecutors": specs.global_specs.min_scale_out,
        "maxExecutors": max_scale_out or specs.global_specs.max_scale_out,
    }
    labels = execution_labels(specs, application_execution_id)
    spark_version = specs.optional_specs.spark_version or options.spark_version
    driver, executor = specs.master_specs, specs.worker_specs
    spec: Manifest = {
        "type": "Python" if is_python else "Scala",
        "mode": "cluster",
        "image": values.image or f"apache/spark:{spark_version}",
        "imagePullPolicy": "IfNotPresent",
        "sparkVersion": spark_version,
        "mainApplicationFile": main_file,
        "arguments": [_argument(value) for value in specs.global_specs.algorithm_args],
        "restartPolicy": {"type": "Never"},
        "driver": {
            "cores": driver.cores,
            "memory": spark_size(driver.memory),
            "memoryOverhead": spark_size(driver.memory_overhead),
            "labels": labels,
        },
        "executor": {
            "instances": initial_scale_out,
            "cores": executor.cores,
            "memory": spark_size(executor.memory),
            "memoryOverhead": spark_size(executor.memory_overhead),
            "labels": labels,
        },
        "deps": {"jars": [as_uri(options.listener_jar, "LISTENER_JAR")]},
        "sparkConf": _spark_conf(values, application_execution_id, is_adaptive, bounds, options),
    }
    if is_python:
        spec["pythonVersion"] = "3"
    elif values.main_class:
        spec["mainClass"] = values.main_class
    if values.rbac_service_account:
        spec["driver"]["serviceAccount"] = values.rbac_service_account
    if is_adaptive:
        # Even muted, dynamic allocation lowers its own target to what the remaining tasks need, but
        # not below its minimum. The listener goes down to `min_scale_out` all the same.
        spec["dynamicAllocation"] = {
            "enabled": True,
            "shuffleTrackingEnabled": True,
            **bounds,
            "minExecutors": initial_scale_out,
        }
    stem = values.release_name or specs.global_specs.algorithm_name
    metadata = {"name": resource_name(stem, application_execution_id), "labels": labels}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def resource_name(stem: str, application_execution_id: str) -> str:
    """A DNS-1035 label that shows what runs and is unique by the execution's id."""
    suffix = _slug(application_execution_id)[: _LONGEST_NAME - 10]
    slug = _slug(stem)
    if not slug[:1].isalpha():
        slug = f"app-{slug}"
    return f"{slug[: _LONGEST_NAME - 1 - len(suffix)].strip('-')}-{suffix}"


def execution_labels(specs: ApplicationSpecs, application_execution_id: str) -> dict[str, str]:
    """Labels that lead from the resource, and from each of its pods, back to the execution."""
    names = specs.global_specs
    labels = {
        "app.kubernetes.io/managed-by": "enel-service",
        EXECUTION_LABEL: application_execution_id,
        "enelservice.org/algorithm-name": names.algorithm_name,
        "enelservice.org/experiment-name": names.experiment_name,
        "enelservice.org/solution-name": names.solution_name,
    }
    return {key: _label_value(value) for key, value in labels.items()}


def execution_id_of(manifest: Manifest) -> str:
    """The execution that a manifest was rendered for."""
    return str(manifest["spec"]["sparkConf"][f"{LISTENER_PREFIX}applicationExecutionId"])


def _spark_conf(
    values: TemplateValues,
    application_execution_id: str,
    is_adaptive: bool,
    bounds: Mapping[str, int],
    options: ManifestOptions,
) -> dict[str, str]:
    host = options.callback_host
    listener = {
        "method": options.callback_method,
        "service": f"[{host}]" if ":" in host and not host.startswith("[") else host,
        "port": options.callback_port,
        "restTimeout": math.ceil(options.callback_timeout_seconds),  # listeners in the field read an integer
        "onlineScaleOutPredictionEndpoint": "prediction/online_scale_out_prediction",
        "updateInformationEndpoint": "training/update_information",
        "applicationExecutionId": application_execution_id,
        "isAdaptive": "true" if is_adaptive else "false",
        **bounds,
    }
    conf = dict(values.spark_conf)
    if values.log_dir:
        conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": values.log_dir}
    conf["spark.plugins"] = PLUGIN_CLASS
    conf |= {LISTENER_PREFIX + name: str(value) for name, value in listener.items()}
    if is_adaptive:
        conf |= {f"spark.dynamicAllocation.{name}": _MUTED for name in _MUTED_TIMEOUTS}
    return conf


def _example(algorithm_name: str, options: ManifestOptions) -> str:
    examples = {name.lower(): location for name, location in options.examples.items()}
    if location := examples.get(algorithm_name.lower()):
        return as_uri(location, "examples")
    bundled = ", ".join(options.examples) or "none"
    raise InvalidRequest(
        f"spark_template_values.main_application_file is missing, and there is no bundled example of"
        f" {algorithm_name} (bundled: {bundled})."
    )


def _argument(value: str | bool | int | float) -> str:
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidRequest("algorithm_args: a command line argument cannot contain a NUL character.")
        return value
    return json.dumps(value)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _label_value(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")
