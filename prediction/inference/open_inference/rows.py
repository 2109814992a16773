"""Tensors of a request as rows that a version is asked with: the first dimension counts them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from prediction.inference.declaration.anything import AnyField
from prediction.inference.declaration.arrays import ArrayField
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.declaration.field import InputField
from prediction.inference.declaration.json_values import json_or_text
from prediction.inference.declaration.pictures import ImageField
from prediction.inference.declaration.problems import InvalidInputs, Misfit, Problem, shown_name
from prediction.inference.images.formats import is_image
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row
from prediction.inference.open_inference.requests import InferenceRequest, Tensor

MOST_ROWS = 256


def rows_of(
    request: InferenceRequest,
    declaration: Declaration,
    *,
    most_rows: int = MOST_ROWS,
    limits: ImageLimits | None = None,
) -> list[Row]:
    """The rows of a request. It decodes images: call it in a thread.

    A declared field takes its tensor's values as it takes them otherwise: one a row, (N) or (N, 1); arrays
    (N, …); images as pixels, (N, H, W) or (N, H, W, 3), or as BYTES that are files or their base64. Where any
    key is taken, numbers of two dimensions or more reach the model as arrays of their own datatype.

    Raises:
        InvalidInputs: A tensor does not fit; what is wrong with all of a row's is said at once.
    """
    count = request.inputs[0].shape[0]
    if count > most_rows:
        raise InvalidInputs([Problem(request.inputs[0].name, f"has {count} rows, more than {most_rows}")])
    problems: list[Problem] = []
    readers: dict[str, Callable[[int], Any]] = {}
    for tensor in request.inputs:
        try:
            if tensor.shape[0] != count:
                raise Misfit(f"has {tensor.shape[0]} rows, and {request.inputs[0].name} has {count}")
            readers[tensor.name] = _reader(tensor, declaration.inputs.get(tensor.name))
        except Misfit as misfit:
            problems.append(Problem(shown_name(tensor.name), str(misfit)))
    if problems:
        raise InvalidInputs(problems)
    return [_row(readers, index, count, declaration, limits) for index in range(count)]


def _row(
    readers: dict[str, Callable[[int], Any]],
    index: int,
    count: int,
    declaration: Declaration,
    limits: ImageLimits | None,
) -> Row:
    given: dict[str, Any] = {}
    place = f" (row {index})" if count > 1 else ""
    problems: list[Problem] = []
    for name, read in readers.items():
        try:
            given[name] = read(index)
        except Misfit as misfit:
            problems.append(Problem(shown_name(name), f"{misfit}{place}"))
    if problems:
        raise InvalidInputs(problems)
    files = {name: value for name, value in given.items() if isinstance(value, bytes)}
    values = {name: value for name, value in given.items() if name not in files}
    try:
        return declaration.row(values, files, limits=limits)
    except InvalidInputs as error:
        told = [Problem(each.field, f"{each.problem}{place}") for each in error.problems]
        raise InvalidInputs(told) from error


def _reader(tensor: Tensor, field: InputField | None) -> Callable[[int], Any]:
    """What gives a field's value of a row. Raises Misfit."""
    shape, values = tensor.shape, tensor.values
    if isinstance(field, ImageField):
        if isinstance(values, list):
            return _elements(tensor, _file_or_text)
        return lambda index: values[index]
    if isinstance(field, ArrayField | AnyField) or field is None:
        if isinstance(values, list):
            nested = isinstance(field, ArrayField) and field.items != "any"
            return _nested_texts(tensor) if nested else _elements(tensor, _json_or_text)
        return lambda index: values[index] if len(shape) > 1 else values[index].item()
    if isinstance(values, list):
        return _elements(tensor, _text)
    _check_one_a_row(shape)
    flat = values.reshape(-1)
    return lambda index: flat[index].item()


def _elements(tensor: Tensor, read: Callable[[Any], Any]) -> Callable[[int], Any]:
    _check_one_a_row(tensor.shape)
    return lambda index: read(tensor.values[index])


def _check_one_a_row(shape: tuple[int, ...]) -> None:
    if any(size != 1 for size in shape[1:]):
        raise Misfit(f"must have one value a row, the shape [{shape[0]}], and has {list(shape)}")


def _nested_texts(tensor: Tensor) -> Callable[[int], Any]:
    if len(tensor.shape) == 1:
        raise Misfit(f"must have a list a row, and has the shape {list(tensor.shape)}")
    texts = np.array([_text(each) for each in tensor.values], dtype=object).reshape(tensor.shape)
    return lambda index: texts[index].tolist()


def _file_or_text(element: str | bytes) -> str | bytes:
    if isinstance(element, bytes) and not is_image(element):
        try:
            return element.decode("ascii")
        except UnicodeDecodeError:
            return element
    return element


def _json_or_text(element: str | bytes) -> Any:
    return json_or_text(_text(element))


def _text(element: str | bytes) -> str:
    """Raises Misfit where bytes are no text."""
    if isinstance(element, str):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError as error:
        raise Misfit("holds bytes that are no text (UTF-8)") from error
