"""Fields that take an image: as a file, as base64 in JSON, or as rows of pixels."""

import binascii
import re
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from common.forms import Form
from prediction.inference.declaration.field import InputField, Reading
from prediction.inference.declaration.nested import as_integers, flattened, numbers
from prediction.inference.declaration.problems import Misfit, shown
from prediction.inference.images.form import Fit, ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage
from prediction.inference.model_process.frames import Array

MOST_PIXELS = 16_777_216
"""Of the array that a model is given."""

SAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
"""A PNG of one grey pixel."""

_DATA_ADDRESS = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_WHITE_SPACE = str.maketrans("", "", " \t\r\n\f\v")


def _listed(value: Any) -> Any:
    """One number stands for each channel."""
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


Channels = Annotated[list[float], BeforeValidator(_listed), Field(min_length=1, max_length=3)]


class ImageField(InputField):
    """Takes images, and gives a model an Array of uint8, (height, width) or (height, width, 3).

    What is left to a model's own process: (pixel × scale − mean) ÷ std, and the layout of channels.
    """

    type: Literal["image"] = "image"
    mode: Literal["RGB", "L"] = "RGB"
    width: int | None = Field(default=None, ge=1)
    height: int | None = Field(default=None, ge=1)
    fit: Fit = "stretch"
    background: Annotated[str, Form(r"^#[0-9a-fA-F]{6}$", "a colour such as #ffffff")] = "#ffffff"
    invert: bool = False
    scale: float = 1.0
    mean: Channels | None = None
    std: Channels | None = None
    layout: Literal["NCHW", "NHWC"] | None = None
    """Unset: as the model's input is shaped."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height belong together")
        if (self.width or 1) * (self.height or 1) > MOST_PIXELS:
            raise ValueError(f"more than {MOST_PIXELS:,} pixels")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in (1, self.channels):
                raise ValueError(f"{name} has {len(values)} numbers for {self.channels} channels")
        if self.std is not None and 0 in self.std:
            raise ValueError("std holds 0, which nothing can be divided by")
        return self

    @property
    def channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def read(self, value: Any, reading: Reading) -> Array:
        # Loaded where there are pictures: Pillow takes a while to start with.
        from prediction.inference.images.fitting import read_image, read_pixels

        try:
            if isinstance(value, bytes):
                return read_image(value, self.form, reading.limits)
            if isinstance(value, str):
                return read_image(bytes_of_text(value, reading.limits), self.form, reading.limits)
            if isinstance(value, list | np.ndarray):
                return read_pixels(_pixels(value), self.form, reading.limits)
        except UnreadableImage as error:
            raise Misfit(f"cannot be read: {error}") from error
        raise Misfit(f"must be an image: a file, base64 text or rows of pixels, and is {shown(value)}")

    @property
    def form(self) -> ImageForm:
        size = None if self.width is None or self.height is None else (self.width, self.height)
        red, green, blue = bytes.fromhex(self.background[1:])
        return ImageForm(self.mode, size, self.fit, (red, green, blue), self.invert)

    def preprocessing(self) -> dict[str, Any]:
        """What is done with the array's numbers before an ONNX model is given them."""
        return {
            "scale": self.scale,
            "mean": self._of_channels(self.mean, 0.0),
            "std": self._of_channels(self.std, 1.0),
            "layout": self.layout,
        }

    def _of_channels(self, values: list[float] | None, otherwise: float) -> list[float]:
        values = values or [otherwise]
        return values * self.channels if len(values) == 1 else values

    def sample(self) -> str:
        return SAMPLE

    def tensor_form(self) -> tuple[str, tuple[int, ...]]:
        shape = (-1, self.height or -1, self.width or -1)
        return "UINT8", shape if self.mode == "L" else (*shape, 3)


def bytes_of_text(text: str, limits: ImageLimits) -> bytes:
    """The file of a text of base64, with or without what a data URL begins with.

    Raises:
        UnreadableImage: It is none, or the file is too large.
    """
    found = _DATA_ADDRESS.match(text.lstrip()[:250])
    if found is not None:
        text = text.lstrip()[found.end() :]
    elif text[:20].lstrip().lower().startswith(("http://", "https://", "data:")):
        raise UnreadableImage("images are not fetched from an address: send the file, or its base64")
    text = text.translate(_WHITE_SPACE)
    if len(text) > limits.most_bytes * 4 // 3 + 4:
        raise UnreadableImage(f"the image has more than {limits.most_bytes:,} bytes")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise UnreadableImage("the text is no base64 of a file, or a part of it is missing") from error


def _pixels(value: Any) -> Any:
    """Pixels as an array of uint8. Raises Misfit."""
    if isinstance(value, list):
        shape, flat = flattened(value)
        value = numbers(flat).reshape(shape)
    if value.dtype == np.uint8:
        return value
    array = as_integers(value)
    if ((array < 0) | (array > 255)).any():
        raise Misfit("must hold pixels from 0 to 255, and holds others")
    return array.astype(np.uint8)
