"""The `SparkApplication` that a request describes; every runner carries out this very object.

From the bottom: built-in defaults, the service's template (`manifest_template`), the request's
`spark_template_values` within the service's limits (`manifest_limits`), and what follows from the
specs or belongs to the listener.

Who decides on executors: the application starts with the initial scale-out, and only the listener,
in the driver, changes it. There are two ways to keep Spark from interfering:

- fixed: a fixed number of executors and no dynamic allocation. The listener requests more, and
  has those go that are too many. The default on Kubernetes, and what queue managers such as Kueue admit.
- muted: dynamic allocation with shuffle tracking, and with timeouts of ten days it never acts by
  itself. The only way on a standalone cluster, which ignores `spark.executor.instances`.

An application that is not adaptive has a fixed number of executors that nobody changes.
"""

import copy
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from common.errors import InvalidRequest
from common.mongo.document import utc_now
from common.wire.specs import ApplicationSpecs, MasterSpecs
from submission.manifest.allowed import move_dependencies
from submission.manifest.arguments import arguments_of
from submission.manifest.fields import Fields
from submission.manifest.options import ManifestOptions, SecretKey, bundled_examples
from submission.manifest.sizes import SMALLEST_MEMORY, cores_of, follow_gang_size, size_in_bytes, spark_size
from submission.manifest.spark_conf import default_conf, joined_classes, joined_values
from submission.manifest.spark_version import known_version
from submission.manifest.template import merge
from submission.manifest.template_values import (
    RescalingMode,
    TemplateValues,
    as_uri,
    read_template_values,
    refusal,
)
from submission.manifest.token_reference import add_token

__all__ = ["Manifest", "ManifestOptions", "SecretKey", "build_manifest", "bundled_examples"]

Manifest = dict[str, Any]

API_VERSION = "sparkoperator.k8s.io/v1beta2"
KIND = "SparkApplication"
EXECUTION_LABEL = "enelservice.org/application-execution-id"

PLUGIN_CLASS = "org.enelservice.listener.EnelPlugin"
EXTRA_LISTENER_CLASS = "org.enelservice.listener.EnelExtraListener"
_EXTRA_LISTENERS = "spark.extraListeners"
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


def build_manifest(
    specs: ApplicationSpecs,
    application_execution_id: str,
    initial_scale_out: int,
    options: ManifestOptions,
    *,
    max_scale_out: int | None = None,
    rescales: bool = True,
    due_at: datetime | None = None,
) -> Manifest:
    """Render the resource.

    Args:
        initial_scale_out: Executors to start with.
        max_scale_out: Upper bound in effect, where the platform allows less than the request.
        rescales: Whether somebody decides on the scale-out of the run once it has started.
        due_at: What it is started for; None: it is of no schedule.
    Raises:
        InvalidRequest: What the request says cannot be rendered or goes beyond a limit, or the main
            application is missing.
    """
    values, wrong = read_template_values(specs.spark_template_values)
    if wrong := [*wrong, *options.limits.refusals(specs, values, options.examples)]:
        raise refusal(wrong)
    main_file = _main_file(specs, values, options)
    bounds = {
        "initialExecutors": initial_scale_out,
        "minExecutors": specs.global_specs.min_scale_out,
        "maxExecutors": max_scale_out or specs.global_specs.max_scale_out,
    }
    mode = _rescaling_mode(rescales, values, options)
    listener = _listener_conf(application_execution_id, mode is not None, bounds, options)

    template_spec = options.template.get("spec", {})
    spec = merge(merge(_defaults(specs, template_spec, options), template_spec), values.spec)
    spec |= _main(specs, values, main_file, due_at or utc_now())
    if options.platform.needs_spark_version:
        said = specs.optional_specs.spark_version or template_spec.get("sparkVersion")
        is_own_image = "image" in template_spec or "image" in values.spec
        spec["sparkVersion"] = known_version(
            said, spec["image"] if is_own_image else None, options.spark_version
        )
    if specs.program is not None:
        spec["arguments"] = launcher_arguments(application_execution_id, options)
    spec["driver"] = merge(spec.get("driver", {}), _driver(specs))
    spec["executor"] = merge(spec.get("executor", {}), _executor(specs, initial_scale_out))
    others = [each.get("sparkConf", {}) for each in (template_spec, values.spec)]
    said = spec.get("sparkConf", {})
    spec["sparkConf"] = {
        **default_conf(bounds["maxExecutors"], rescales=mode is not None, said=said),
        **said,
        **_log_conf(values),
        **listener,
        **joined_classes(others, PLUGIN_CLASS),
        **_extra_listener(others, options),
        **_allocation_conf(mode),
    }
    if mode == "muted":
        # Even muted, dynamic allocation lowers its own target to what the remaining tasks need, but
        # not below its minimum. The listener goes down to `min_scale_out` all the same.
        spec["dynamicAllocation"] = {
            "enabled": True,
            "shuffleTrackingEnabled": True,
            **bounds,
            "minExecutors": initial_scale_out,
        }
    _add_listener_jar(spec, options)
    move_dependencies(spec)
    name = resource_name(values.release_name or specs.global_specs.algorithm_name, application_execution_id)
    add_token(spec, name, options)
    _complete(spec)

    labels = execution_labels(specs, application_execution_id)
    if gang := follow_gang_size(spec["driver"].get("annotations", {}), initial_scale_out):
        spec["driver"]["annotations"] = {**spec["driver"]["annotations"], **gang}
    for role in ("driver", "executor"):
        spec[role]["labels"] = {**spec[role].get("labels", {}), **labels}
    metadata = merge(options.template.get("metadata", {}), values.metadata) | {
        "name": name,
        "namespace": _namespace(values, options),
    }
    metadata["labels"] = {**metadata.get("labels", {}), **labels}
    # Parts of the template are in it: nobody who changes a manifest is to change the template.
    return copy.deepcopy({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})


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


def launcher_arguments(application_execution_id: str, options: ManifestOptions) -> list[str]:
    """What the launcher is told: where the service is, and of which execution it asks there.

    As arguments, and not as variables: the spark-operator sets variables by its webhook alone.
    """
    address = f"{options.callback_method}://{_in_address(options.callback_host)}:{options.callback_port}"
    return [address, application_execution_id]


def execution_id_of(manifest: Manifest) -> str:
    """The execution that a manifest was rendered for."""
    return str(manifest["spec"]["sparkConf"][f"{LISTENER_PREFIX}applicationExecutionId"])


# --- parts of the spec ----------------------------------------------------------------------------


def _defaults(specs: ApplicationSpecs, template_spec: Fields, options: ManifestOptions) -> Fields:
    spark_version = (
        specs.optional_specs.spark_version or template_spec.get("sparkVersion") or options.spark_version
    )
    return {
        "mode": "cluster",
        "image": f"apache/spark:{spark_version}",
        "imagePullPolicy": "IfNotPresent",
        "sparkVersion": spark_version,
        "restartPolicy": {"type": "Never"},
    }


def _main(specs: ApplicationSpecs, values: TemplateValues, main_file: str, due_at: datetime) -> Fields:
    is_python = main_file.lower().endswith(".py")
    main: Fields = {
        "type": "Python" if is_python else "Scala",
        "mainApplicationFile": main_file,
        "arguments": arguments_of(specs.global_specs.algorithm_args, due_at),
    }
    if is_python:
        main["pythonVersion"] = "3"
    elif values.main_class:
        main["mainClass"] = values.main_class
    if specs.optional_specs.spark_version:
        main["sparkVersion"] = specs.optional_specs.spark_version
    return main


def _driver(specs: ApplicationSpecs) -> Fields:
    driver = specs.master_specs
    return {"cores": driver.cores, **_memory(driver, "driver")}


def _executor(specs: ApplicationSpecs, instances: int) -> Fields:
    executor = specs.worker_specs
    return {"instances": instances, "cores": executor.cores, **_memory(executor, "executor")}


def _memory(specs: MasterSpecs, role: str) -> Fields:
    """Without an overhead that nobody asked for: Spark's own grows with the memory, more so for Python.

    Raises:
        InvalidRequest: Spark would give up when it starts.
    """
    if size_in_bytes(specs.memory) < size_in_bytes(SMALLEST_MEMORY):
        raise InvalidRequest(
            f"Spark needs at least {SMALLEST_MEMORY} of memory for the {role}, not {specs.memory}."
        )
    overhead = specs.memory_overhead
    beside = {} if overhead is None else {"memoryOverhead": spark_size(overhead)}
    return {"memory": spark_size(specs.memory), **beside}


def _rescaling_mode(rescales: bool, values: TemplateValues, options: ManifestOptions) -> RescalingMode | None:
    """None: the scale-out is left alone."""
    if not rescales or values.is_adaptive is False:
        return None
    platform = options.platform
    mode = values.rescaling_mode or platform.rescaling_modes[0]
    if mode not in platform.rescaling_modes:
        raise InvalidRequest(platform.refusal(mode))
    return mode


def _listener_conf(
    application_execution_id: str, is_adaptive: bool, bounds: Mapping[str, int], options: ManifestOptions
) -> dict[str, str]:
    listener = {
        "method": options.callback_method,
        "service": _in_address(options.callback_host),
        "port": options.callback_port,
        "restTimeout": math.ceil(options.callback_timeout_seconds),  # listeners in the field read an integer
        "onlineScaleOutPredictionEndpoint": "prediction/online_scale_out_prediction",
        "updateInformationEndpoint": "training/update_information",
        "applicationExecutionId": application_execution_id,
        "isAdaptive": "true" if is_adaptive else "false",
        **bounds,
    }
    return {LISTENER_PREFIX + name: str(value) for name, value in listener.items()}


def _extra_listener(others: Iterable[Fields], options: ManifestOptions) -> dict[str, str]:
    """What reports for programs that replace `spark.plugins`, as those in Connect mode do.

    Only where the jar is the service's own: one in an image may be older and without that class, and
    Spark would not start.
    """
    platform = options.platform
    if platform.jars_in_image is not None or options.listener_jar != platform.listener_jar:
        return {}
    return {_EXTRA_LISTENERS: joined_values(_EXTRA_LISTENERS, others, EXTRA_LISTENER_CLASS)}


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _log_conf(values: TemplateValues) -> dict[str, str]:
    if not values.log_dir:
        return {}
    return {"spark.eventLog.enabled": "true", "spark.eventLog.dir": values.log_dir}


def _allocation_conf(mode: RescalingMode | None) -> dict[str, str]:
    if mode == "muted":
        return {f"spark.dynamicAllocation.{name}": _MUTED for name in _MUTED_TIMEOUTS}
    # An image's own spark-defaults.conf may switch it on.
    return {"spark.dynamicAllocation.enabled": "false"}


def _add_listener_jar(spec: Fields, options: ManifestOptions) -> None:
    jar = as_uri(options.listener_jar, "LISTENER_JAR")
    deps = spec.get("deps", {})
    jars = [each for each in deps.get("jars", []) if each != jar]
    in_image = options.platform.jars_in_image
    if in_image is None or not jar.startswith(in_image):
        jars.append(jar)
    if jars:
        spec["deps"] = {**deps, "jars": jars}


def _complete(spec: Fields) -> None:
    """What the CRD wants said beside what was said. Raises InvalidRequest where nobody could guess it."""
    if (monitoring := spec.get("monitoring")) is not None:
        spec["monitoring"] = {"exposeDriverMetrics": True, "exposeExecutorMetrics": True, **monitoring}
        if "prometheus" in monitoring and "jmxExporterJar" not in monitoring["prometheus"]:
            raise InvalidRequest("spark_template_values.monitoring.prometheus.jmxExporterJar is missing.")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for role in ("driver", "executor"):
        if "nodeSelector" in spec and "nodeSelector" in spec[role]:
            raise InvalidRequest(
                f"nodeSelector and {role}.nodeSelector exclude each other (the template's included)."
            )
        _check_pod(role, spec[role])
        for mount in spec[role].get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise InvalidRequest(
                    f"spark_template_values.{role}.volumeMounts: there is no volume {mount['name']!r}."
                )


def _check_pod(role: str, pod: Fields) -> None:
    """Raises InvalidRequest for what no pod may say; of executors, nobody but their pods would be told."""
    asked, limit = str(pod.get("coreRequest") or pod["cores"]), pod.get("coreLimit")
    if limit is not None and cores_of(limit) < cores_of(asked):
        raise InvalidRequest(
            f"spark_template_values.{role}.coreLimit is {limit}, but it asks for {asked} cores."
        )
    for number, each in enumerate(pod.get("tolerations", [])):
        place = f"spark_template_values.{role}.tolerations.{number}"
        if each.get("operator") == "Exists" and each.get("value"):
            raise InvalidRequest(f"{place}: with the operator Exists there is no value.")
        if not each.get("key") and each.get("operator") != "Exists":
            raise InvalidRequest(f"{place}: without a key, the operator is Exists.")
        if "tolerationSeconds" in each and each.get("effect") != "NoExecute":
            raise InvalidRequest(f"{place}: tolerationSeconds is for the effect NoExecute.")


def _namespace(values: TemplateValues, options: ManifestOptions) -> str:
    namespace = values.namespace or options.namespace
    allowed = dict.fromkeys((options.namespace, *options.namespaces))
    if namespace not in allowed:
        raise InvalidRequest(
            f"spark_template_values.namespace is {namespace}, but this service allows {', '.join(allowed)}"
            " (KUBERNETES_NAMESPACE, KUBERNETES_NAMESPACES)."
        )
    return namespace


def _main_file(specs: ApplicationSpecs, values: TemplateValues, options: ManifestOptions) -> str:
    if specs.program is None:
        return values.main_application_file or _example(specs.global_specs.algorithm_name, options)
    if values.main_application_file or values.main_class:
        raise InvalidRequest(
            "program: spark_template_values.main_application_file and main_class name something else to run."
        )
    if not options.launcher:
        raise InvalidRequest(
            f"program: this service runs no programs of workspaces on {options.platform.in_words}"
            " (LOCAL_PROGRAMS, PROGRAM_LAUNCHER; docs/programs.md)."
        )
    return as_uri(options.launcher, "PROGRAM_LAUNCHER")


def _example(algorithm_name: str, options: ManifestOptions) -> str:
    examples = {name.lower(): location for name, location in options.examples.items()}
    if location := examples.get(algorithm_name.lower()):
        return as_uri(location, "examples")
    bundled = ", ".join(options.examples) or "none"
    raise InvalidRequest(
        f"spark_template_values.main_application_file is missing, and there is no bundled example of"
        f" {algorithm_name} (bundled: {bundled})."
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _label_value(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")
