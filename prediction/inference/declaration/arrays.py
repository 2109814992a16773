"""Fields that take nested lists of numbers, or lists of anything."""

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from prediction.inference.declaration.field import TYPE_NAMES, InputField, Reading, check_order, within
from prediction.inference.declaration.json_values import checked_json, json_of_text
from prediction.inference.declaration.nested import (
    MOST_DIMENSIONS,
    Numbers,
    as_float32,
    as_integers,
    flattened,
    numbers,
)
from prediction.inference.declaration.problems import Misfit, shown
from prediction.inference.model_process.frames import Array

MOST_ITEMS = 10_000_000
"""Of one array whose shape is declared."""

_DTYPES = {"number": "float32", "integer": "int64"}
_DATATYPES = {"number": "FP32", "integer": "INT64", "boolean": "BOOL", "string": "BYTES", "any": "BYTES"}
_SAMPLES: dict[str, Any] = {"number": 0.0, "integer": 0, "boolean": True, "string": "text", "any": 0}
_KINDS: dict[str, type] = {"boolean": bool, "string": str}


class ArrayField(InputField):
    """Takes lists; numbers of a declared shape become an Array of float32 or int64, others stay JSON."""

    type: Literal["array"] = "array"
    items: Literal["number", "integer", "boolean", "string", "any"] = "any"
    shape: list[Annotated[int, Field(ge=-1)]] | None = Field(
        default=None, min_length=1, max_length=MOST_DIMENSIONS
    )
    """Without the rows of a request; -1 is any number."""
    minimum: float | None = None
    maximum: float | None = None

    @field_validator("items", mode="before")
    @classmethod
    def _short_name(cls, value: Any) -> Any:
        return TYPE_NAMES.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_order(self.minimum, self.maximum)
        return self

    @field_validator("shape")
    @classmethod
    def _of_bounded_size(cls, shape: list[int] | None) -> list[int] | None:
        if shape is not None:
            if 0 in shape:
                raise ValueError("a dimension of 0 holds nothing")
            if math.prod(map(abs, shape)) > MOST_ITEMS:
                raise ValueError(f"more than {MOST_ITEMS:,} items")
        return shape

    def read(self, value: Any, reading: Reading) -> Any:
        if isinstance(value, np.ndarray) and (self.shape is None or self.items not in _DTYPES):
            value = value.tolist()
        if reading.lenient and isinstance(value, str):
            value = _list_of_text(value)
        if not isinstance(value, list | np.ndarray):
            raise Misfit(f"must be a list, and is {shown(value)}")
        if self.items == "any" and self.shape is None:
            return checked_json(value)
        shape, flat = flattened(value) if isinstance(value, list) else (value.shape, value.reshape(-1))
        self._check_shape(shape)
        if self.items in _DTYPES:
            return self._read_numbers(value, shape, flat)
        kind = _KINDS.get(self.items)
        strangers = [each for each in flat if kind is not None and not isinstance(each, kind)]
        if strangers:
            raise Misfit(f"must hold items of type {self.items}, and holds {shown(strangers[0])}")
        return checked_json(value)

    def _read_numbers(self, value: Any, shape: tuple[int, ...], flat: list[Any] | Numbers) -> Any:
        whole = self.items == "integer"
        array = numbers(flat, whole=whole) if isinstance(flat, list) else flat
        array = as_integers(array) if whole else as_float32(array)
        if self.minimum is not None and (array < self.minimum).any():
            raise Misfit(f"holds a number below {self.minimum:g}")
        if self.maximum is not None and (array > self.maximum).any():
            raise Misfit(f"holds a number above {self.maximum:g}")
        return value if self.shape is None else Array(_DTYPES[self.items], shape, array.tobytes())

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if self.shape is None:
            return
        fits = len(shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, shape, strict=True)
        )
        if not fits or 0 in shape:
            raise Misfit(f"must have the shape {_written(self.shape)}, and has {_written(shape)}")

    def sample(self) -> Any:
        value = _SAMPLES[self.items]
        if self.items in _DTYPES:
            value = type(value)(within(value, self.minimum, self.maximum))
        for size in reversed(self.shape or [1]):
            value = [value] * abs(size)
        return value

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        if self.items == "any":
            return "BYTES", (-1,)
        return _DATATYPES[self.items], (-1, *(self.shape or [-1]))


def _list_of_text(text: str) -> Any:
    """`[1, 2]`, or `1, 2` as people type it."""
    try:
        return json_of_text(text if text.lstrip().startswith("[") else f"[{text}]")
    except ValueError as error:
        raise Misfit(f"must be a list such as [1, 2], and is {shown(text)}") from error


def _written(shape: tuple[int, ...] | list[int]) -> str:
    return " × ".join("any" if size == -1 else str(size) for size in shape)
