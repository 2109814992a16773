"""Values and files of a request, made into what a model is given."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from prediction.inference.declaration.anything import AnyField
from prediction.inference.declaration.field import InputField, Reading
from prediction.inference.declaration.json_values import MOST_KEYS, check_name
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.declaration.problems import InvalidInputs, Misfit, Problem, shown_name
from prediction.inference.declaration.scalars import TextField
from prediction.inference.model_process.frames import Array, Row

UPLOAD_NAMES = ("", "file", "image")
"""What a file may be called where a version takes exactly one image."""

_ANY = AnyField()


class _Absent(Exception):
    """The model is given nothing of this name."""


def read_row(
    inputs: Mapping[str, InputField],
    extra_inputs: bool,
    values: Mapping[str, Any],
    files: Mapping[str, bytes],
    reading: Reading,
) -> Row:
    """What the model is given: declared fields in their order, then others. Decoding images blocks.

    Raises:
        InvalidInputs: With all that is wrong.
    """
    if len(values) + len(files) > MOST_KEYS:
        raise InvalidInputs([Problem("", f"there are more than {MOST_KEYS:,} inputs")])
    files = under_names(inputs, values, files)
    taken: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in [*inputs, *_others(inputs, values, files)]:
        try:
            if name in inputs:
                taken[name] = _declared(name, inputs[name], values, files, reading)
            elif extra_inputs:
                taken[name] = _free(name, values, files, reading)
            else:
                raise Misfit(f"is not an input of this version{reading.guesses.nearest(name, inputs)}")
        except _Absent:
            continue
        except Misfit as misfit:
            nameless = "the file" if name in files else ""
            problems.append(Problem(shown_name(name) if name else nameless, str(misfit)))
    if problems:
        raise InvalidInputs(problems)
    values = {name: value for name, value in taken.items() if not isinstance(value, Array)}
    arrays = {name: value for name, value in taken.items() if isinstance(value, Array)}
    return Row(values, arrays, tuple(taken) if values and arrays else ())


def under_names(
    inputs: Mapping[str, InputField], values: Mapping[str, Any], files: Mapping[str, bytes]
) -> Mapping[str, bytes]:
    """The same files, where one that needs no name has that of the only image."""
    images = [name for name, each in inputs.items() if isinstance(each, ImageField)]
    nameless = [name for name in files if name in UPLOAD_NAMES and name not in inputs]
    if len(images) != 1 or len(nameless) != 1 or images[0] in files or values.get(images[0]) is not None:
        return files
    return {images[0] if name == nameless[0] else name: data for name, data in files.items()}


def _others(
    inputs: Mapping[str, InputField], values: Mapping[str, Any], files: Mapping[str, bytes]
) -> Iterator[str]:
    yield from (name for name in values if name not in inputs)
    yield from (name for name in files if name not in inputs and name not in values)


def _declared(
    name: str, field: InputField, values: Mapping[str, Any], files: Mapping[str, bytes], reading: Reading
) -> Any:
    value = values.get(name)
    if reading.lenient and value == "" and not (isinstance(field, TextField) and field.required):
        value = None  # a form sends what was left empty
    if name in files:
        if value is not None:
            raise Misfit("is there twice: as a file and as a value")
        return field.read(files[name], reading)
    if value is not None or (type(field) is AnyField and name in values and field.default is None):
        return field.read(value, reading)
    if field.default is not None:
        return field.read(field.default, reading)
    if field.nullable:
        return None
    if field.optional:
        raise _Absent
    raise Misfit("is null, and must not be" if name in values and not reading.lenient else "is missing")


def _free(name: str, values: Mapping[str, Any], files: Mapping[str, bytes], reading: Reading) -> Any:
    if not name:
        raise Misfit("an input has no name")
    check_name(name)
    if name in files:
        return _ANY.read(files[name], reading)
    value = values[name]
    if isinstance(value, np.ndarray) and value.ndim:
        return _as_it_is(value)
    return _ANY.read(value, reading)


def _as_it_is(value: np.ndarray[Any, Any]) -> Array:
    """An array that came as one. Raises Misfit."""
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise Misfit("holds NaN or an infinity, which are no numbers")
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return Array(value.dtype.name, value.shape, little.tobytes())
