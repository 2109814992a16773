"""What a request says about its SparkApplication: `spark_template_values`.

Keys may be written as in the CRD or in snake_case. Those that are not named here or in `fields` are
ignored, as the contract says, and told (`unknown`). What the
spark-operator refuses, or what the service sets itself, is refused here with a reason, instead of
failing later in Kubernetes or fighting the listener.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from common.addresses import file_uri
from common.errors import InvalidRequest
from common.wire.specs import LONG_TEXT
from submission.manifest.fields import Fields, MetadataFields, SpecFields, complaints
from submission.manifest.spark_conf import complaints_about
from submission.manifest.spellings import in_camel, in_one_spelling

RescalingMode = Literal["fixed", "muted"]
"""`fixed`: a fixed number of executors, which the plugin changes. `muted`: dynamic allocation with
shuffle tracking, muted so that it never acts by itself."""

_T = TypeVar("_T")
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
        InvalidRequest: Known keys have values of the wrong kind, or say what a request may not say, all of
            which are named, or two spellings of a key say different things.
    """
    found, wrong = read_template_values(values)
    if wrong:
        raise refusal(wrong)
    return found


def read_template_values(values: Mapping[str, Any]) -> tuple[TemplateValues, list[str]]:
    """What can be read of the known keys, and what is wrong with the others.

    Raises:
        InvalidRequest: Two spellings of a key say different things.
    """
    values = _in_one_spelling(values)
    wrong: list[str] = []

    def read(reader: Callable[..., _T | None], *args: Any) -> _T | None:
        try:
            return reader(*args)
        except InvalidRequest as error:
            wrong.append(str(error))
            return None

    spec = _validated(SpecFields, values, wrong).fields()
    main_application_file = read(_main_application_file, values)
    if service_account := read(_text, values, "rbac_service_account"):
        spec.setdefault("driver", {}).setdefault("serviceAccount", service_account)
    found = TemplateValues(
        main_class=read(_text, values, "main_class"),
        main_application_file=main_application_file,
        log_dir=read(_log_dir, values),
        release_name=read(_text, values, "release_name"),
        namespace=read(_text, values, "namespace"),
        is_adaptive=read(_is_adaptive, values),
        rescaling_mode=read(_rescaling_mode, values),
        metadata=_validated(MetadataFields, values, wrong).fields(),
        spec=spec,
    )
    return found, wrong


def in_one_sentence(complaints: Sequence[str]) -> str:
    """As the detail of a problem."""
    *before, last = complaints
    return "; ".join([*(each.rstrip(".") for each in before), last])


def refusal(complaints: Sequence[str]) -> InvalidRequest:
    """All of them, each with the field that it is about, also for programs."""
    refused = InvalidRequest(in_one_sentence(complaints))
    refused.members["errors"] = [
        {"field": field, "message": message} for field, message in by_field(complaints)
    ]
    return refused


def by_field(complaints: Sequence[str]) -> list[tuple[str, str]]:
    """Each complaint, apart from the field with which it begins."""
    parts = (complaint.partition(": ") for complaint in complaints)
    return [(field, message) if message else (_PREFIX, field) for field, _, message in parts]


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


def _validated(model: type[_Model], values: Mapping[str, Any], wrong: list[str]) -> _Model:
    """The model's own keys of a request, as far as they say what can be said; what is wrong is added."""
    known = {name for key in model.model_fields for name in (key, in_camel(key))}
    said = {key: value for key, value in values.items() if key in known}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        wrong += complaints(error, _PREFIX)
        refused = {in_camel(str(each["loc"][0])) for each in error.errors() if each["loc"]}
    rest = {key: value for key, value in said.items() if in_camel(key) not in refused}
    for key, value in said.items():  # the properties that are left may go beyond a limit
        if in_camel(key) == "sparkConf" and key not in rest and isinstance(value, Mapping):
            of_conf = complaints_about(value, by_template=False)
            rest[key] = {name: each for name, each in value.items() if name not in of_conf}
    try:
        return model.model_validate(rest)
    except ValidationError:
        return model.model_validate({})


def _main_application_file(values: Mapping[str, Any]) -> str | None:
    location = _text(values, "main_application_file")
    return location and as_uri(location, "main_application_file")


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
