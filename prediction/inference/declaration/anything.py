"""Fields that take any JSON, and those whose type hint says more of it."""

from typing import Any, Literal

import numpy as np
from pydantic import PrivateAttr, TypeAdapter, ValidationError

from prediction.inference.declaration.field import InputField, Reading
from prediction.inference.declaration.json_values import checked_json, json_or_text
from prediction.inference.declaration.problems import Misfit


class AnyField(InputField):
    """Takes any JSON. Where it is asked for by a form, texts that are JSON stand for what they hold."""

    type: Literal["any"] = "any"

    def read(self, value: Any, reading: Reading) -> Any:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, bytes):
            raise Misfit("takes no file: the version declares no image of this name")
        return checked_json(json_or_text(value) if reading.lenient and isinstance(value, str) else value)

    def sample(self) -> Any:
        return "text"

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        return "BYTES", (-1,)


class HintField(AnyField):
    """Takes JSON of a type hint, such as `list[list[int]]`."""

    hint: str
    _adapter: TypeAdapter[Any] = PrivateAttr()
    _sample: Any = PrivateAttr()

    def __init__(self, hint: str, adapter: TypeAdapter[Any], sample: Any, *, nullable: bool) -> None:
        super().__init__(hint=hint, nullable=nullable)
        self._adapter, self._sample = adapter, sample

    def read(self, value: Any, reading: Reading) -> Any:
        value = super().read(value, reading)
        try:
            self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = "".join(f"[{each}]" for each in first["loc"] if isinstance(each, int))
            raise Misfit(f"must be {self.hint}; {place or 'it'}: {first['msg'].lower()}") from error
        return value

    def sample(self) -> Any:
        return self._sample
