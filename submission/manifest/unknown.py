"""What a submission says and nobody reads, its `spark_template_values` included."""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import Any, get_args

from common.wire.specs import ApplicationSpecs
from common.wire.unknown import UnknownField, warnings_about
from submission.manifest.fields import MetadataFields, Part, SpecFields
from submission.manifest.spellings import in_camel
from submission.manifest.template_values import KEYS

_VALUES = "spark_template_values."
_KNOWN = frozenset(spelling for key in KEYS for spelling in (key, in_camel(key)))


def unknown_warnings(specs: ApplicationSpecs, elsewhere: Collection[str] = ()) -> list[str]:
    """One for each field that is ignored, as far as there is room.

    Args:
        elsewhere: Names that the same body may have for another route.
    """
    return warnings_about(
        chain(specs.unknown_fields(elsewhere=elsewhere), unknown_values(specs.spark_template_values))
    )


def unknown_values(values: Mapping[str, Any], place: str = "") -> Iterator[UnknownField]:
    """Of `spark_template_values`, however deep.

    Args:
        place: What these stand in, such as `submission.`.
    """
    place += _VALUES
    for key in values:
        if key not in _KNOWN:
            yield UnknownField(place, key, _KNOWN)
    for part in (SpecFields, MetadataFields):
        yield from _in_parts(part, values, place)


def _in_parts(part: type[Part], values: Mapping[str, Any], place: str) -> Iterator[UnknownField]:
    """Of the objects that an object of this kind consists of."""
    for name, field in part.model_fields.items():
        if (inner := _part_of(field.annotation)) is None:
            continue
        for key in {name, in_camel(name)} & values.keys():
            yield from _in_object(inner, values[key], f"{place}{key}.")


def _in_object(part: type[Part], value: Any, place: str) -> Iterator[UnknownField]:
    if isinstance(value, list):
        for entry in value:
            yield from _in_object(part, entry, place)
    elif isinstance(value, Mapping):
        known = frozenset(spelling for name in part.model_fields for spelling in (name, in_camel(name)))
        if part.model_config.get("extra") != "allow":
            yield from (UnknownField(place, key, known) for key in value if key not in known)
        yield from _in_parts(part, value, place)


def _part_of(annotation: Any) -> type[Part] | None:
    """The kind of object in `Kind | None` or `list[Kind] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next(filter(None, map(_part_of, get_args(annotation))), None)
