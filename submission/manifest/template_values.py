"""What a request says about its SparkApplication: `spark_template_values`.

Keys that are not named here or in `manifest_fields` are ignored, as the contract says. What the
spark-operator refuses, or what the service sets itself, is refused here with a reason, instead of
failing later in Kubernetes or fighting the listener.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from common.addresses import file_uri
from common.errors import InvalidRequest
from common.wire.specs import LONG_TEXT
from submission.manifest.fields import Fields, MetadataFields, SpecFields, complaints

RescalingMode = Literal["fixed", "muted"]
"""`fixed`: a fixed number of executors, which the plugin changes. `muted`: dynamic allocation with
shuffle tracking, muted so that it never acts by itself."""

_Model = TypeVar("_Model", bound=BaseModel)
_PREFIX = "spark_template_values"


@dataclass(frozen=True)
class TemplateValues:
    """What a request overrides; None where it says nothing."""

    main_class: str | None = None
    main_application_file: str | None = None
    """A URI; an absolute path became `local://…`, a file that driver and executors already have."""
    log_dir: str | None = None
    release_name: str | None = None
    namespace: str | None = None
    is_adaptive: bool | None = None
    rescaling_mode: RescalingMode | None = None
    metadata: Fields = field(default_factory=dict)
    """Labels and annotations of the resource."""
    spec: Fields = field(default_factory=dict)
    """Further fields of the resource's `spec`, as the CRD names them."""


def parse_template_values(values: Mapping[str, Any]) -> TemplateValues:
    """Read the known keys.

    Raises:
        InvalidRequest: A known key has a value of the wrong kind, or says what a request may not say.
    """
    main_application_file = _text(values, "main_application_file")
    spec = _validated(SpecFields, values).fields()
    if service_account := _text(values, "rbac_service_account"):
        spec.setdefault("driver", {}).setdefault("serviceAccount", service_account)
    return TemplateValues(
        main_class=_text(values, "main_class"),
        main_application_file=main_application_file
        and as_uri(main_application_file, "main_application_file"),
        log_dir=_log_dir(values),
        release_name=_text(values, "release_name"),
        namespace=_text(values, "namespace"),
        is_adaptive=_is_adaptive(values),
        rescaling_mode=_rescaling_mode(values),
        metadata=_validated(MetadataFields, values).fields(),
        spec=spec,
    )


def as_uri(location: str, name: str) -> str:
    """A URI as it is; an absolute path as `local://…`. Raises InvalidRequest, which names what it is of."""
    try:
        return file_uri(location)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.") from error


def _validated(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """The model's own keys of a request; one that is empty says nothing."""
    known = {name for key in model.model_fields for name in (key, to_camel(key))}
    said = {key: value for key, value in values.items() if key in known and value not in (None, "")}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise InvalidRequest("; ".join(complaints(error, _PREFIX))) from error


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONG_TEXT or not value.isprintable() or not value.strip():
        raise InvalidRequest(f"{_PREFIX}.{key} must be a text without control characters.")
    return value.strip()


def _log_dir(values: Mapping[str, Any]) -> str | None:
    log_dir = _text(values, "log_dir")
    if log_dir is not None:
        as_uri(log_dir, "log_dir")  # as given: a path without a scheme may mean HDFS, Spark knows
    return log_dir


def _rescaling_mode(values: Mapping[str, Any]) -> RescalingMode | None:
    mode = values.get("rescaling_mode")
    if mode is None or mode == "":
        return None
    for known in get_args(RescalingMode):
        if mode == known:
            return known  # type: ignore[no-any-return]
    raise InvalidRequest(f"{_PREFIX}.rescaling_mode must be 'fixed' or 'muted'.")


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
    raise InvalidRequest(f"{_PREFIX}: {name} must be true or false.")
