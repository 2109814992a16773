"""What a request says about its SparkApplication: `spark_template_values`.

Keys may be written as in the CRD or in snake_case. Those that are not named here or in `fields` are
ignored, as the contract says, and told (`unknown`). What the
spark-operator refuses, or what the service sets itself, is refused here with a reason, instead of
failing later in Kubernetes or fighting the listener.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from common.addresses import file_uri
from common.errors import InvalidRequest
from common.wire.specs import LONG_TEXT
from submission.manifest.fields import Fields, MetadataFields, SpecFields, complaints
from submission.manifest.spellings import in_camel, in_one_spelling

RescalingMode = Literal["fixed", "muted"]
"""`fixed`: a fixed number of executors, which the plugin changes. `muted`: dynamic allocation with
shuffle tracking, muted so that it never acts by itself."""

_Model = TypeVar("_Model", bound=BaseModel)
_PREFIX = "spark_template_values"
_IS_ADAPTIVE = "scale_out_tuner.config.is_adaptive"

KEYS = (
    "main_application_file",
    "main_class",
    "log_dir",
    "release_name",
    "namespace",
    "rescaling_mode",
    "rbac_service_account",
    "scale_out_tuner",
    _IS_ADAPTIVE,
    *SpecFields.model_fields,
    *MetadataFields.model_fields,
)
"""Everything that is read, in snake_case."""


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
        InvalidRequest: A known key has a value of the wrong kind, or says what a request may not say, or
            its two spellings say different things.
    """
    values = _in_one_spelling(values)
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


def find_value(values: Mapping[str, Any], key: str) -> Any:
    """Of a key in snake_case, however it is written; None where it is empty."""
    value = values.get(_written(values, key))
    return None if value == "" else value


def _written(values: Mapping[str, Any], key: str) -> str:
    other = in_camel(key)
    return other if other in values and values.get(key) in (None, "") else key


def _in_one_spelling(values: Mapping[str, Any]) -> Fields:
    """Without what is empty, which says nothing."""
    said = {key: value for key, value in values.items() if value not in (None, "")}
    try:
        return in_one_spelling(said, KEYS)
    except ValueError as error:
        raise InvalidRequest(f"{_PREFIX}: {error}.") from error


def _validated(model: type[_Model], values: Mapping[str, Any]) -> _Model:
    """The model's own keys of a request."""
    known = {name for key in model.model_fields for name in (key, in_camel(key))}
    said = {key: value for key, value in values.items() if key in known}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise InvalidRequest("; ".join(complaints(error, _PREFIX))) from error


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = find_value(values, key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONG_TEXT or not value.isprintable() or not value.strip():
        raise InvalidRequest(f"{_PREFIX}.{_written(values, key)} must be a text without control characters.")
    return value.strip()


def _log_dir(values: Mapping[str, Any]) -> str | None:
    log_dir = _text(values, "log_dir")
    if log_dir is not None:
        as_uri(log_dir, "log_dir")  # as given: a path without a scheme may mean HDFS, Spark knows
    return log_dir


def _rescaling_mode(values: Mapping[str, Any]) -> RescalingMode | None:
    mode = find_value(values, "rescaling_mode")
    if mode is None:
        return None
    for known in get_args(RescalingMode):
        if mode == known:
            return known  # type: ignore[no-any-return]
    raise InvalidRequest(f"{_PREFIX}.{_written(values, 'rescaling_mode')} must be 'fixed' or 'muted'.")


def _is_adaptive(values: Mapping[str, Any]) -> bool | None:
    """Of `scale_out_tuner.config.is_adaptive`, written as one dotted key or as nested objects."""
    value = find_value(values, _IS_ADAPTIVE)
    if value is None:
        value = _nested(values, _IS_ADAPTIVE)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidRequest(f"{_PREFIX}: {_IS_ADAPTIVE} must be true or false.")


def _nested(values: Any, name: str) -> Any:
    for key in name.split("."):
        if not isinstance(values, Mapping):
            return None
        try:
            values = find_value(in_one_spelling(values, [key]), key)
        except ValueError as error:
            raise InvalidRequest(f"{_PREFIX}: {name}: {error}.") from error
    return values
