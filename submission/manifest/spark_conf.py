"""Which Spark properties may be set, and by whom.

The operator's webhook refuses some, the service sets others itself, and a third kind would lead a
request around the limits that hold for its other values.
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from common.addresses import check_location
from common.wire.specs import LONG_TEXT

_OURS = "the service sets it; leave it out"
_PLATFORMS = "the platform manages it; leave it out"
_NOT_AS_CONF = "credentials are not passed as Spark conf; leave it out"
_COLLIDES = "two runs at a time would get in each other's way; leave it out, each gets one of its own"
_EXECUTORS = "write worker_specs.scale_out, with global_specs.min_scale_out and max_scale_out"
_IMAGE = "write spark_template_values.image"
_ACCOUNT = "write spark_template_values.rbac_service_account, or executor.serviceAccount"

_BY_FIELDS = "use spark_template_values.driver and .executor; what they lack, the service's template decides"

_RESERVED_KEYS = {
    "spark.master": _PLATFORMS,
    "spark.kubernetes.driver.master": _PLATFORMS,
    "spark.submit.deployMode": _PLATFORMS,
    # Where a driver is reached Spark takes from its pod, and gives up where it is told something else.
    "spark.driver.host": _PLATFORMS,
    "spark.driver.bindAddress": _PLATFORMS,
    "spark.kubernetes.namespace": "write spark_template_values.namespace",
    "spark.kubernetes.container.image": _IMAGE,
    "spark.kubernetes.driver.container.image": _IMAGE,
    "spark.kubernetes.executor.container.image": _IMAGE,
    "spark.app.id": _COLLIDES,
    "spark.kubernetes.driver.pod.name": _COLLIDES,
    "spark.kubernetes.driver.resourceNamePrefix": _COLLIDES,
    "spark.kubernetes.executor.podNamePrefix": _COLLIDES,
    "spark.cores.max": _EXECUTORS,
    "spark.executor.instances": _EXECUTORS,
    "spark.executor.cores": "write worker_specs.cores",
    "spark.executor.memory": "write worker_specs.memory",
    "spark.executor.memoryOverhead": "write worker_specs.memory_overhead",
    "spark.yarn.executor.memoryOverhead": "write worker_specs.memory_overhead",
    "spark.driver.cores": "write master_specs.cores",
    "spark.driver.memory": "write master_specs.memory",
    "spark.driver.memoryOverhead": "write master_specs.memory_overhead",
    "spark.yarn.driver.memoryOverhead": "write master_specs.memory_overhead",
    "spark.kubernetes.authenticate.serviceAccountName": _ACCOUNT,
    "spark.kubernetes.authenticate.driver.serviceAccountName": _ACCOUNT,
    "spark.kubernetes.authenticate.executor.serviceAccountName": _ACCOUNT,
}
_RESERVED_PREFIXES = {
    "spark.customExtraListener.": _OURS,
    "spark.dynamicAllocation.": f"the service decides on executors; {_EXECUTORS}",
    "spark.streaming.dynamicAllocation.": f"the service decides on executors; {_EXECUTORS}",
    "spark.kubernetes.authenticate.": _NOT_AS_CONF,
    "spark.kubernetes.driverEnv.ENEL_": _NOT_AS_CONF,
    "spark.executorEnv.ENEL_": _NOT_AS_CONF,
    "spark.kubernetes.driver.secretKeyRef.ENEL_": _NOT_AS_CONF,
    "spark.kubernetes.driver.label.enelservice.org/": _OURS,
    "spark.kubernetes.executor.label.enelservice.org/": _OURS,
}

_PODS = re.compile(
    r"spark\.kubernetes\."
    r"((driver|executor)\.(volumes|secrets|secretKeyRef|podTemplate|podTemplateFile|podTemplateContainerName"
    r"|request|limit|serviceAccount|scheduler|node|pod)"
    r"|node\.selector|scheduler|hadoop|kerberos)(\..+)?"
    r"|spark\.(driver|executor)\.resource\..+"
)
_FIELDS_OF_PODS = (
    (r"(driver|executor)\.(?:volumes|secrets)\..+", r"volumes, and \1.volumeMounts"),
    (r"(driver|executor)\.secretKeyRef\..+", r"\1.env with valueFrom.secretKeyRef"),
    (r"(driver|executor)\.request\.cores", r"\1.coreRequest"),
    (r"(driver|executor)\.limit\.cores", r"\1.coreLimit"),
    (r"(driver|executor)\.serviceAccount", r"\1.serviceAccount"),
    (r"(driver|executor)\.node\.selector\..+", r"\1.nodeSelector"),
    (r"node\.selector\..+", "nodeSelector"),
    (r"((driver|executor)\.)?scheduler\..+", "batch_scheduler and batch_scheduler_options"),
    (r"hadoop\.configMapName", "hadoop_config_map"),
)
"""Properties after `spark.kubernetes.`, and what says the same below `spark_template_values`."""

_CLASSES = "spark.extraListeners", "spark.sql.extensions", "spark.sql.queryExecutionListeners"
"""Properties that are classes of several people's, as `spark.plugins` is: who adds one takes none away."""

_EVENT_LOG_FOLDER = "spark.eventLog.dir"

_FORMER_NAMES = {
    "spark.executor.maxNumFailures": "spark.yarn.max.executor.failures",
    "spark.decommission.enabled": "spark.worker.decommission.enabled",
}
"""By which Spark reads a property where it is not set itself: ours would overrule them."""


_LEAST_FAILURES = 3
"""Spark ends an application after twice as many failures of executors as it starts with, at least 3 (its
ExecutorFailureTracker): of a run that may be given more, that would be too few."""

_LEAST_ATTEMPTS = 4
"""Spark's own number of attempts of a stage."""

_SEGMENTS = 4
"""Of its caches Spark divides the room between up to four segments, which fill unevenly (Guava)."""


def default_conf(max_executors: int, *, rescales: bool, said: Container[str] = ()) -> dict[str, str]:
    """What a request and the template may set otherwise.

    Executors that a run no longer needs hand over what they hold before they go. Killed, they would take
    their shuffle files along, and Spark notices that one after the other: an attempt of the stage that reads
    them fails for each executor, and the fourth one fails the application.

    Args:
        max_executors: That the run may be given.
        rescales: Whether its executors may become fewer while it runs.
        said: Properties that the request or the template sets.
    """
    failures = {"spark.executor.maxNumFailures": str(max(_LEAST_FAILURES, 2 * max_executors))}
    defaults = failures if not rescales else {**failures, **_handing_over(max_executors, said)}
    return {name: value for name, value in defaults.items() if _FORMER_NAMES.get(name, "") not in said}


def _handing_over(max_executors: int, said: Container[str]) -> dict[str, str]:
    # Of these two limits Spark takes the larger one: ours would raise one that is set.
    attempts = {"spark.stage.maxConsecutiveAttempts": str(_LEAST_ATTEMPTS + max_executors)}
    return {
        **({} if "spark.stage.maxAttempts" in said else attempts),
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        # Spark looks only every 30 s whether all has been handed over.
        "spark.storage.decommission.replicationReattemptInterval": "1s",
        # An executor that goes stores nothing more: a result that does not go with its task's end fails it.
        "spark.task.maxDirectResultSize": "16m",
        # Tasks that take longer are ended then, and who has cached blocks that nobody has room for.
        "spark.executor.decommission.forceKillTimeout": "120s",
        # What is read where it no longer is does not count against the stage, while Spark knows who has gone.
        "spark.stage.ignoreDecommissionFetchFailure": "true",
        "spark.scheduler.maxRetainedRemovedDecommissionExecutors": str(_SEGMENTS * max_executors),
    }


def reserved_reason(key: str) -> str | None:
    """Why nobody may set a property, the template of defaults included; None if it may be set."""
    if key in _RESERVED_KEYS:
        return _RESERVED_KEYS[key]
    return next((why for prefix, why in _RESERVED_PREFIXES.items() if key.startswith(prefix)), None)


def refused_reason(key: str) -> str | None:
    """Why a request may not set a property; None if it may."""
    if reason := reserved_reason(key):
        return reason
    if not _PODS.fullmatch(key):
        return None
    name = key.removeprefix("spark.kubernetes.")
    for pattern, field in _FIELDS_OF_PODS:
        if match := re.fullmatch(pattern, name):
            return f"write spark_template_values.{match.expand(field)}"
    return _BY_FIELDS


def complaints_about(conf: Mapping[Any, Any], *, by_template: bool) -> dict[Any, str]:
    """What is wrong with each property that cannot be set so, and what to write instead.

    Args:
        by_template: The service's own, which may set more.
    """
    found = {key: _complaint(key, value, by_template) for key, value in conf.items()}
    return {key: complaint for key, complaint in found.items() if complaint}


def _complaint(key: object, value: object, by_template: bool) -> str:
    name = str(key).strip()
    if reason := reserved_reason(name) if by_template else refused_reason(name):
        return f"{name} cannot be set: {reason}"
    if not isinstance(key, str) or len(key) > LONG_TEXT or not re.fullmatch(r"spark\.[!-~]+", key):
        return f"{str(key)[:100]!r} is not a Spark property; its name starts with 'spark.', and has no blanks"
    if not isinstance(value, str | int | float) or "\0" in str(value):
        return f"the value of {key} must be a text, a number or a boolean"
    if key == _EVENT_LOG_FOLDER:
        try:
            check_location(str(value))
        except ValueError as error:
            return f"{key}: {error}"
    return ""


def joined_classes(others: Iterable[Mapping[str, Any]], plugin: str) -> dict[str, str]:
    """Lists of classes that the template and the request name; our plugin is the last of its own."""
    confs = list(others)
    joined = {name: joined_values(name, confs) for name in _CLASSES}
    plugins = joined_values("spark.plugins", confs, plugin)
    return {**{name: value for name, value in joined.items() if value}, "spark.plugins": plugins}


def joined_values(name: str, confs: Iterable[Mapping[str, Any]], *ours: str) -> str:
    """Values of the template and of the request, and ours after them: each once, in this order."""
    named = [each.strip() for conf in confs for each in str(conf.get(name, "")).split(",")]
    return ",".join(dict.fromkeys([*filter(None, named), *ours]))
