"""A field of what a version is asked with: what all kinds have in common."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from prediction.inference.declaration.problems import Guesses, Misfit, shown
from prediction.inference.images.limits import ImageLimits

TYPE_NAMES = {
    "int": "integer",
    "float": "number",
    "double": "number",
    "str": "string",
    "text": "string",
    "bool": "boolean",
    "list": "array",
    "object": "any",
    "dict": "any",
    "json": "any",
}
"""Other words for types, which are understood too."""


@dataclass(frozen=True)
class Reading:
    """How values are read.

    Args:
        lenient: Whether texts may stand for numbers and the like, as forms send them.
        limits: Of images.
        guesses: Of all rows of a request.
    """

    lenient: bool = False
    limits: ImageLimits = field(default_factory=ImageLimits)
    guesses: Guesses = field(default_factory=Guesses)


class InputField(BaseModel, ABC):
    """What signature.json says of one field, in its long form; keys of it that are not known are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    type: str
    description: str = ""
    optional: bool = False
    """Whether it may be left out; then the model is given nothing of this name."""
    nullable: bool = False
    """Whether it may be left out or null; the model is given None then."""
    default: Any = None
    """What stands for it where it is left out."""
    example: Any = None
    tensor: str | None = None
    """Of an ONNX model: the input that it is part of; unset: the one of its own name."""

    @abstractmethod
    def read(self, value: Any, reading: Reading) -> Any:
        """What the model is given for a value: JSON or an Array. Raises Misfit."""

    @abstractmethod
    def sample(self) -> Any:
        """A value that is taken, where neither example nor default is declared."""

    @abstractmethod
    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        """Datatype of the Open Inference Protocol and shape, with -1 for the rows of a request."""

    @property
    def required(self) -> bool:
        return not (self.optional or self.nullable) and self.default is None

    @property
    def is_number(self) -> bool:
        """Whether it can be one of the numbers that a tensor (N, k) is made of."""
        return False

    def shown_example(self) -> Any:
        for value in (self.example, self.default):
            if value is not None:
                return value
        return self.sample()


def check_choice(value: Any, choices: Sequence[Any] | None) -> None:
    """Raise Misfit where a value is none of those to choose from."""
    if choices is not None and value not in choices:
        listed = ", ".join(map(str, choices[:10])) + (", …" if len(choices) > 10 else "")
        raise Misfit(f"must be one of {listed}, and is {shown(value)}")


def check_range(value: float, minimum: float | None, maximum: float | None) -> None:
    """Raise Misfit where a number is too small or too large."""
    if minimum is not None and value < minimum:
        raise Misfit(f"must be at least {minimum:g}, and is {shown(value)}")
    if maximum is not None and value > maximum:
        raise Misfit(f"must be at most {maximum:g}, and is {shown(value)}")


def check_order(minimum: float | None, maximum: float | None) -> None:
    """Raise ValueError where no number fits."""
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"minimum {minimum:g} is above maximum {maximum:g}")


def within(value: float, minimum: float | None, maximum: float | None) -> float:
    """The nearest number that fits."""
    value = value if maximum is None else min(value, maximum)
    return value if minimum is None else max(value, minimum)


def is_text_of(pattern: str, value: Any) -> bool:
    """Whether a value is a short text of this form; longer ones are not worth a look."""
    return isinstance(value, str) and len(value) < 400 and re.fullmatch(pattern, value.strip()) is not None
