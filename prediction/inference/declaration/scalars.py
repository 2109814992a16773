"""Fields that take one value: integer, number, boolean, text."""

import math
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from prediction.inference.declaration.field import (
    InputField,
    Reading,
    check_choice,
    check_order,
    check_range,
    is_text_of,
    within,
)
from prediction.inference.declaration.json_values import LEAST_INTEGER, MOST_INTEGER, check_text
from prediction.inference.declaration.problems import Misfit, shown

_INTEGER = r"[+-]?[0-9]{1,30}"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_BOOLEANS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False}
_BOOLEANS["0"] = False


Number = TypeVar("Number", int, float)


class _BoundedField(InputField, Generic[Number]):
    """Takes numbers of a kind, between bounds or out of a list."""

    minimum: Number | None = None
    maximum: Number | None = None
    choices: list[Number] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_order(self.minimum, self.maximum)
        return self

    @property
    def is_number(self) -> bool:
        return True

    def _checked(self, value: Number) -> Number:
        """Raises Misfit where it is none of those that are taken."""
        check_range(value, self.minimum, self.maximum)
        check_choice(value, self.choices)
        return value


class IntegerField(_BoundedField[int]):
    """Takes integers of 64 bits, also written `3.0`; booleans are none."""

    type: Literal["integer"] = "integer"

    def read(self, value: Any, reading: Reading) -> int:
        if reading.lenient and is_text_of(_INTEGER, value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Misfit(f"must be an integer, and is {shown(value)}")
        if not LEAST_INTEGER <= value <= MOST_INTEGER:
            raise Misfit("must be an integer of 64 bits, and is larger")
        return self._checked(value)

    def sample(self) -> int:
        return self.choices[0] if self.choices else int(within(1, self.minimum, self.maximum))

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        return "INT64", (-1,)


class NumberField(_BoundedField[float]):
    """Takes finite numbers; booleans are none."""

    type: Literal["number"] = "number"

    def read(self, value: Any, reading: Reading) -> float:
        if reading.lenient and is_text_of(_NUMBER, value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Misfit(f"must be a number, and is {shown(value)}{_with_a_point(value)}")
        try:
            number = float(value)
        except OverflowError as error:
            raise Misfit("must be a number of 64 bits, and is larger") from error
        if not math.isfinite(number):
            raise Misfit(f"must be a finite number, and is {number!r}")
        return self._checked(number)

    def sample(self) -> float:
        return self.choices[0] if self.choices else within(1.0, self.minimum, self.maximum)

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        return "FP64", (-1,)


class BooleanField(InputField):
    """Takes true and false."""

    type: Literal["boolean"] = "boolean"

    def read(self, value: Any, reading: Reading) -> bool:
        if reading.lenient and isinstance(value, str):
            value = _BOOLEANS.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            raise Misfit(f"must be true or false, and is {shown(value)}")
        return value

    def sample(self) -> bool:
        return True

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        return "BOOL", (-1,)


class TextField(InputField):
    """Takes texts."""

    type: Literal["string"] = "string"
    max_length: int | None = Field(default=None, ge=1)
    choices: list[str] | None = Field(default=None, min_length=1)

    def read(self, value: Any, reading: Reading) -> str:
        if not isinstance(value, str):
            raise Misfit(f"must be a text, and is {shown(value)}")
        check_text(value)
        if self.max_length is not None and len(value) > self.max_length:
            raise Misfit(f"must have at most {self.max_length} characters, and has {len(value)}")
        check_choice(value, self.choices)
        return value

    def sample(self) -> str:
        return self.choices[0] if self.choices else "text"[: self.max_length]

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        return "BYTES", (-1,)


def _with_a_point(value: Any) -> str:
    if is_text_of(r"[+-]?[0-9]+,[0-9]+", value):
        return f"; write {value.strip().replace(',', '.')}"
    return ""
