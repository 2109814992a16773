"""signature.json, read: fields by name, and what answers mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common.wire.unknown import UnknownField, warnings_about
from prediction.inference.declaration.anything import AnyField
from prediction.inference.declaration.arrays import ArrayField
from prediction.inference.declaration.checks import MOST_CHECKS, Check
from prediction.inference.declaration.field import TYPE_NAMES, InputField, Reading
from prediction.inference.declaration.hints import field_of_hint, is_mapping
from prediction.inference.declaration.json_values import MOST_KEYS, check_name
from prediction.inference.declaration.output import Output, is_of_hints, output_of_hints
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.declaration.problems import DeclarationError, Misfit, shown_name
from prediction.inference.declaration.scalars import BooleanField, IntegerField, NumberField, TextField

FIELDS: Mapping[str, type[InputField]] = {
    "integer": IntegerField,
    "number": NumberField,
    "boolean": BooleanField,
    "string": TextField,
    "array": ArrayField,
    "image": ImageField,
    "any": AnyField,
}
"""Kinds of fields by their `type`."""

_KNOWN = ("inputs", "output", "extra_inputs", "function", "file", "checks")

_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True)
class Parsed:
    fields: Mapping[str, InputField]
    extra_inputs: bool
    output: Output
    checks: list[Check]
    warnings: list[str]
    """Keys that nobody reads, with what may have been meant."""


def parse(signature: Mapping[str, Any] | None) -> Parsed:
    """What a signature.json says; without one any inputs are taken.

    Raises:
        DeclarationError: It cannot be read; the message names the place.
    """
    if signature is None:
        return Parsed({}, True, Output(), [], [])
    unknown = [UnknownField("", str(key), _KNOWN) for key in signature if key not in _KNOWN]
    inputs = signature.get("inputs")
    extra = signature.get("extra_inputs", False)
    if not isinstance(extra, bool):
        raise _error("extra_inputs", "must be true or false")
    output = _output(signature.get("output"), unknown)
    checks = _checks(signature.get("checks"), unknown)
    if inputs is None or _takes_everything(inputs):
        return Parsed({}, True, output, checks, warnings_about(unknown))
    if not isinstance(inputs, dict):
        raise _error("inputs", "must be an object of fields by name")
    if len(inputs) > MOST_KEYS:
        raise _error("inputs", f"there are more than {MOST_KEYS:,}")
    fields = {name: _field(name, declared, unknown) for name, declared in inputs.items()}
    return Parsed(fields, extra, output, checks, warnings_about(unknown))


def _takes_everything(inputs: Any) -> bool:
    """Whether a function's one argument is a dict of all inputs; as model_process/ asks it."""
    if not isinstance(inputs, dict) or len(inputs) != 1:
        return False
    name, hint = next(iter(inputs.items()))
    return isinstance(hint, str) and (name == "inputs" or is_mapping(hint))


def _field(name: str, declared: Any, unknown: list[UnknownField]) -> InputField:
    place = f"inputs.{shown_name(name)}"
    try:
        check_name(name)
    except Misfit as error:
        raise _error(place, str(error)) from error
    if not name:
        raise _error("inputs", "a field has no name")
    if isinstance(declared, str):
        return field_of_hint(declared)
    if not isinstance(declared, dict):
        raise _error(place, "must be a type such as “int”, or an object with a type")
    kind = declared.get("type", "any")
    kind = TYPE_NAMES.get(kind, kind) if isinstance(kind, str) else kind
    if not isinstance(kind, str) or kind not in FIELDS:
        raise _error(f"{place}.type", f"must be one of {', '.join(FIELDS)}")
    field = _validated(FIELDS[kind], {**declared, "type": kind}, place)
    unknown += _unread(field, declared, place)
    for key, value in (("default", field.default), ("example", field.example)):
        if value is not None:
            _check_value(field, value, f"{place}.{key}")
    return field


def _check_value(field: InputField, value: Any, place: str) -> None:
    try:
        field.read(value, Reading())
    except Misfit as error:
        raise _error(place, str(error)) from error


def _output(declared: Any, unknown: list[UnknownField]) -> Output:
    if declared is None or isinstance(declared, str):
        return Output()
    if not isinstance(declared, dict):
        raise _error("output", "must be a type such as “str”, or an object")
    if is_of_hints(declared):
        return output_of_hints(declared)
    output = _validated(Output, declared, "output")
    unknown += _unread(output, declared, "output")
    return output


def _checks(declared: Any, unknown: list[UnknownField]) -> list[Check]:
    if declared is None:
        return []
    if not isinstance(declared, list) or not all(isinstance(each, dict) for each in declared):
        raise _error("checks", "must be a list of objects with inputs and answer")
    if len(declared) > MOST_CHECKS:
        raise _error("checks", f"there are more than {MOST_CHECKS}")
    checks = []
    for number, each in enumerate(declared):
        checks.append(_validated(Check, each, f"checks[{number}]"))
        unknown += _unread(checks[-1], each, f"checks[{number}]")
    return checks


def _unread(model: BaseModel, declared: Mapping[str, Any], place: str) -> list[UnknownField]:
    known = type(model).model_fields
    return [UnknownField(f"{place}.", str(key), known) for key in declared if key not in known]


def _validated(model: type[_M], declared: Mapping[str, Any], place: str) -> _M:
    try:
        return model.model_validate(declared)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join([place, *map(str, first["loc"])])
        raise _error(place, first["msg"].removeprefix("Value error, ").rstrip(".")) from error


def _error(place: str, problem: str) -> DeclarationError:
    return DeclarationError(f"signature.json: {place}: {problem}.")
