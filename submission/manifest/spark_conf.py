"""Which Spark properties may be set, and by whom.

The operator's webhook refuses some, the service sets others itself, and a third kind would lead a
request around the limits that hold for its other values.
"""

import re
from collections.abc import Container

_BY_SPECS = "it follows from master_specs, worker_specs and the scale-out"
_BY_SERVICE = "the service sets it"
_BY_OPERATOR = "the spark-operator manages it"
_NOT_AS_CONF = "credentials and service accounts are not passed as Spark conf"

_COLLIDES = "two runs at a time would get in each other's way; each gets one of its own"

_BY_FIELDS = "use spark_template_values.driver and .executor; what they lack, the service's template decides"

_RESERVED_KEYS = {
    "spark.master": _BY_OPERATOR,
    "spark.kubernetes.driver.master": _BY_OPERATOR,
    "spark.submit.deployMode": _BY_OPERATOR,
    "spark.kubernetes.namespace": "use spark_template_values.namespace",
    "spark.kubernetes.container.image": "use spark_template_values.image",
    "spark.kubernetes.driver.container.image": "use spark_template_values.image",
    "spark.kubernetes.executor.container.image": "use spark_template_values.image",
    "spark.app.id": _COLLIDES,
    "spark.kubernetes.driver.resourceNamePrefix": _COLLIDES,
    "spark.kubernetes.executor.podNamePrefix": _COLLIDES,
    "spark.cores.max": _BY_SPECS,
    "spark.executor.instances": _BY_SPECS,
    "spark.executor.cores": _BY_SPECS,
    "spark.executor.memory": _BY_SPECS,
    "spark.executor.memoryOverhead": _BY_SPECS,
    "spark.driver.cores": _BY_SPECS,
    "spark.driver.memory": _BY_SPECS,
    "spark.driver.memoryOverhead": _BY_SPECS,
}
_RESERVED_PREFIXES = {
    "spark.customExtraListener.": _BY_SERVICE,
    "spark.dynamicAllocation.": _BY_SERVICE,
    "spark.kubernetes.authenticate.": _NOT_AS_CONF,
    "spark.kubernetes.driverEnv.ENEL_": _NOT_AS_CONF,
    "spark.executorEnv.ENEL_": _NOT_AS_CONF,
    "spark.kubernetes.driver.secretKeyRef.ENEL_": _NOT_AS_CONF,
    "spark.kubernetes.driver.label.enelservice.org/": _BY_SERVICE,
    "spark.kubernetes.executor.label.enelservice.org/": _BY_SERVICE,
}

_PODS = re.compile(
    r"spark\.kubernetes\."
    r"((driver|executor)\.(volumes|secrets|secretKeyRef|podTemplate|podTemplateFile|podTemplateContainerName"
    r"|request|limit|serviceAccount|scheduler|node|pod)"
    r"|node\.selector|scheduler|hadoop|kerberos)(\..+)?"
    r"|spark\.(driver|executor)\.resource\..+"
)


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
    if not rescales:
        return failures
    # Of these two limits Spark takes the larger one: ours would raise one that is set.
    attempts = {"spark.stage.maxConsecutiveAttempts": str(_LEAST_ATTEMPTS + max_executors)}
    return {
        **failures,
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
    if _PODS.fullmatch(key):
        return _BY_FIELDS
    return None
