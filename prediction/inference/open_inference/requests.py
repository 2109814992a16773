"""Inference requests of the protocol: JSON, or JSON and the bytes of tensors behind it.

https://github.com/kserve/open-inference-protocol and its extension for binary data.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from prediction.inference.declaration.nested import MOST_DIMENSIONS, flattened
from prediction.inference.declaration.problems import InvalidInputs, Misfit, Problem, shown, shown_name
from prediction.inference.open_inference.datatypes import BYTES, NUMPY, array_of_bytes, elements_of_bytes

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Header of HTTP with the length of the JSON, where bytes of tensors follow it."""

MOST_TENSORS = 1_000

_KINDS: Mapping[str, set[type]] = {"b": {bool}, "f": {int, float}}
"""What JSON has for numpy's kinds; integers for all others."""


@dataclass(frozen=True)
class Tensor:
    """An input of a request; its first dimension counts rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: np.ndarray[Any, Any] | list[str] | list[bytes]
    """Numbers in the tensor's shape; or the elements of BYTES, row by row: texts of JSON, bytes otherwise."""


@dataclass(frozen=True)
class InferenceRequest:
    id: str | None
    inputs: list[Tensor]
    outputs: Mapping[str, bool] | None
    """Asked for, and whether as bytes; None: all of them."""
    binary: bool
    """Whether outputs that are not named are sent as bytes."""


class _Input(BaseModel):
    name: str = Field(min_length=1)
    datatype: str
    shape: list[int] = Field(min_length=1, max_length=MOST_DIMENSIONS)
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: Any = None


class _Asked(BaseModel):
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class _Body(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[_Input] = Field(min_length=1, max_length=MOST_TENSORS)
    outputs: list[_Asked] | None = None


def read_request(body: bytes, header_length: int | None = None) -> InferenceRequest:
    """The tensors of a request's body. It takes time with the body's size: call it in a thread.

    Args:
        header_length: Of the JSON, as the header HEADER_LENGTH has it; None: all of it is JSON.
    Raises:
        InvalidInputs: It is no such request; what is wrong with a tensor is said by its name.
    """
    length = len(body) if header_length is None else header_length
    if not 0 <= length <= len(body):
        raise _invalid("", f"{HEADER_LENGTH} is {length}, and the body has {len(body):,} bytes")
    head = _head(body[:length])
    rest = memoryview(body)[length:]
    inputs: list[Tensor] = []
    for each in head.inputs:
        if any(each.name == other.name for other in inputs):
            raise _invalid(each.name, "is there twice")
        try:
            tensor, rest = _tensor(each, rest)
        except ValueError as error:
            raise _invalid(each.name, str(error)) from error
        inputs.append(tensor)
    if rest:
        raise _invalid("", f"{len(rest):,} bytes behind the JSON belong to no tensor")
    asked = None if not head.outputs else {each.name: _is_binary(each.parameters) for each in head.outputs}
    return InferenceRequest(head.id, inputs, asked, head.parameters.get("binary_data_output") is True)


def _head(text: bytes) -> _Body:
    try:
        said = json.loads(text, parse_constant=_no_number)
        if not isinstance(said, dict):
            raise _invalid(
                "", 'the request is an object: {"inputs": [{"name", "datatype", "shape", "data"}]}'
            )
        return _Body.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in first["loc"])
        raise _invalid(place, first["msg"].lower()) from error
    except (ValueError, RecursionError) as error:
        raise _invalid("", "the request is no JSON") from error


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_binary(parameters: Mapping[str, Any]) -> bool:
    if parameters.get("classification"):
        raise _invalid("classification", "is not offered: ask for the output itself")
    return parameters.get("binary_data") is True


def _tensor(declared: _Input, rest: memoryview) -> tuple[Tensor, memoryview]:
    """A tensor, and the bytes that belong to later ones. Raises ValueError."""
    shape = tuple(declared.shape)
    if declared.datatype != BYTES and declared.datatype not in NUMPY:
        raise ValueError(
            f"has the datatype {shown_name(declared.datatype)}; known: {BYTES}, {', '.join(NUMPY)}"
        )
    if any(size < 1 for size in shape):
        raise ValueError(f"has the shape {list(shape)}, and thus no rows or no data")
    items = math.prod(shape)
    size = declared.parameters.get("binary_data_size")
    if size is None:
        return Tensor(declared.name, declared.datatype, shape, _of_json(declared, items)), rest
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(rest):
        raise ValueError(f"has binary_data_size {shown(size)}, and {len(rest):,} bytes are there")
    if declared.data is not None:
        raise ValueError("has data, and binary_data_size too")
    data, rest = rest[:size], rest[size:]
    if declared.datatype == BYTES:
        return Tensor(declared.name, BYTES, shape, elements_of_bytes(data, items)), rest
    values = array_of_bytes(data, declared.datatype, items).reshape(shape)
    return Tensor(declared.name, declared.datatype, shape, values), rest


def _of_json(declared: _Input, items: int) -> np.ndarray[Any, Any] | list[str]:
    """Data of JSON, flat or nested as the shape says. Raises ValueError."""
    if not isinstance(declared.data, list):
        raise ValueError(f"must have a list as data, and has {shown(declared.data)}")
    shape, flat = flattened(declared.data)
    if len(flat) != items or (len(shape) > 1 and list(shape) != declared.shape):
        raise ValueError(f"has data of the shape {list(shape)}, and says {declared.shape}")
    if declared.datatype == BYTES:
        if not all(isinstance(each, str) for each in flat):
            raise ValueError("must hold texts")
        return flat
    return _numbers(flat, declared.datatype).reshape(declared.shape)


def _numbers(flat: list[Any], datatype: str) -> np.ndarray[Any, Any]:
    kinds = _KINDS.get(np.dtype(NUMPY[datatype]).kind, {int})
    if not set(map(type, flat)) <= kinds:
        stranger = next(each for each in flat if type(each) not in kinds)
        raise Misfit(f"holds {shown(stranger)}, which is no {datatype}")
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, dtype=NUMPY[datatype])
    except OverflowError as error:
        raise Misfit(f"holds a number that {datatype} cannot hold") from error
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Misfit(f"holds a number too large for {datatype}")
    return values


def _invalid(name: str, problem: str) -> InvalidInputs:
    return InvalidInputs([Problem(shown_name(name), problem)])
