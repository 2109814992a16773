"""The part of a request that overrides what the service would render: `spark_template_values`.

Keys that are not named here are ignored, as the contract says. Spark conf keys that the
spark-operator refuses, or that the service sets itself, are refused here with a reason, instead of
failing later in Kubernetes or fighting the listener.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InvalidRequest
from common.specs import LONG_TEXT

_BY_SPECS = "it follows from master_specs, worker_specs and the scale-out"
_BY_SERVICE = "the service sets it"
_BY_OPERATOR = "the spark-operator manages it"

_RESERVED_KEYS = {
    "spark.master": _BY_OPERATOR,
    "spark.kubernetes.driver.master": _BY_OPERATOR,
    "spark.submit.deployMode": _BY_OPERATOR,
    "spark.kubernetes.namespace": "KUBERNETES_NAMESPACE decides on it",
    "spark.kubernetes.container.image": "use spark_template_values.image",
    "spark.kubernetes.driver.container.image": "use spark_template_values.image",
    "spark.kubernetes.executor.container.image": "use spark_template_values.image",
    "spark.plugins": _BY_SERVICE,
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
    "spark.kubernetes.authenticate.": "credentials and service accounts are not passed as Spark conf",
}


@dataclass(frozen=True)
class TemplateValues:
    """What a request overrides; None where it says nothing."""

    image: str | None = None
    main_class: str | None = None
    main_application_file: str | None = None
    """A URI; an absolute path became `local://…`, a file that driver and executors already have."""
    log_dir: str | None = None
    release_name: str | None = None
    rbac_service_account: str | None = None
    is_adaptive: bool | None = None
    spark_conf: Mapping[str, str] = field(default_factory=dict)


def parse_template_values(values: Mapping[str, Any]) -> TemplateValues:
    """Read the known keys.

    Raises:
        InvalidRequest: A known key has a value of the wrong kind, or a Spark conf key is reserved.
    """
    main_application_file = _text(values, "main_application_file")
    return TemplateValues(
        image=_text(values, "image"),
        main_class=_text(values, "main_class"),
        main_application_file=main_application_file
        and as_uri(main_application_file, "main_application_file"),
        log_dir=_log_dir(values),
        release_name=_text(values, "release_name"),
        rbac_service_account=_text(values, "rbac_service_account"),
        is_adaptive=_is_adaptive(values),
        spark_conf=_spark_conf(values.get("spark_conf")),
    )


def reserved_reason(key: str) -> str | None:
    """Why a Spark conf key may not be set by a request; None if it may."""
    if key in _RESERVED_KEYS:
        return _RESERVED_KEYS[key]
    return next((why for prefix, why in _RESERVED_PREFIXES.items() if key.startswith(prefix)), None)


def as_uri(location: str, name: str) -> str:
    """A URI as it is; an absolute path as `local://…`.

    Raises:
        InvalidRequest: A relative path: nobody could say relative to what.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", location):
        return location
    if location.startswith("/"):
        return "local://" + Path(location).as_uri().removeprefix("file://")
    raise InvalidRequest(
        f"{name} must be an absolute path or a URI such as local:///…, hdfs:///…: {location!r}"
    )


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONG_TEXT or not value.isprintable() or not value.strip():
        raise InvalidRequest(f"spark_template_values.{key} must be a text without control characters.")
    return value.strip()


def _log_dir(values: Mapping[str, Any]) -> str | None:
    log_dir = _text(values, "log_dir")
    if log_dir is not None:
        as_uri(log_dir, "log_dir")  # as given: a path without a scheme may mean HDFS, Spark knows
    return log_dir


def _is_adaptive(values: Mapping[str, Any]) -> bool | None:
    """Of `scale_out_tuner.config.is_adaptive`, written as one dotted key or as nested objects."""
    name = "scale_out_tuner.config.is_adaptive"
    nested: Any = values
    for key in name.split("."):
        nested = nested.get(key) if isinstance(nested, Mapping) else None
    value = values.get(name, nested)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidRequest(f"spark_template_values: {name} must be true or false.")


def _spark_conf(conf: object) -> dict[str, str]:
    if conf is None:
        return {}
    if not isinstance(conf, Mapping):
        raise InvalidRequest("spark_template_values.spark_conf must be an object of Spark properties.")
    checked: dict[str, str] = {}
    for key, value in conf.items():
        if not re.fullmatch(r"spark\.[!-~]+", key) or len(key) > LONG_TEXT:
            raise InvalidRequest(
                f"spark_conf: {key!r} is not a Spark property; its name starts with 'spark.'."
            )
        if reason := reserved_reason(key):
            raise InvalidRequest(f"spark_conf: {key} cannot be set: {reason}.")
        if isinstance(value, bool):
            checked[key] = "true" if value else "false"
        elif isinstance(value, str | int | float) and "\0" not in str(value):
            checked[key] = str(value)
        else:
            raise InvalidRequest(f"spark_conf: the value of {key} must be a text, a number or a boolean.")
    return checked
