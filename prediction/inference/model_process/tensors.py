"""Values and arrays of a row, made into the tensors that an ONNX model wants.

onnxruntime takes null in lists and arrays of the other byte order without an error, and computes something;
so whatever does not fit is refused here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prediction.inference.model_process.frames import Array

Tensor = npt.NDArray[Any]
Size = int | None

DTYPES: Mapping[str, str] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}
"""Datatypes that can be asked, by what onnxruntime calls them."""

_NUMBERS = "biuf"


class Unfit(ValueError):
    """A value is none that the tensor can hold; the message names neither row nor field."""


@dataclass(frozen=True)
class Wanted:
    """An input of a model.

    Attributes:
        dtype: A value of DTYPES.
        shape: None: of any size.
    """

    name: str
    dtype: str
    shape: tuple[Size, ...]

    @property
    def item_shape(self) -> tuple[Size, ...]:
        """Of one row, without the batch."""
        return self.shape[1:]


def fitted(value: Any, wanted: Wanted) -> Tensor:
    """One row's value or Array in the tensor's own datatype and in the shape of one row. Raises Unfit."""
    return _shaped(_cast(_plain(value), wanted.dtype), wanted.item_shape)


def vector(values: Sequence[Any], wanted: Wanted) -> Tensor:
    """Several values of a row side by side, in the shape of one row. Raises Unfit."""
    parts = [_cast(_plain(value), wanted.dtype).reshape(-1) for value in values]
    return _shaped(np.concatenate(parts), wanted.item_shape)


def picture(value: Array, how: Mapping[str, Any], wanted: Wanted) -> Tensor:
    """An image's pixels, (height, width) or (height, width, channels), as the model was trained with them.

    Args:
        how: `scale`, `mean` and `std` (one number, or one per channel) make `(pixel * scale - mean) / std`;
            `layout` is "NCHW" or "NHWC", or is left to the tensor's shape.
    Raises:
        Unfit: The tensor has another size.
    """
    pixels = _plain(value)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.ndim != 3:
        raise Unfit(f"an image has the shape (height, width, channels), and not {pixels.shape}")
    scale = float(how.get("scale") or 1.0)
    mean = np.asarray(how.get("mean") or 0.0, dtype=np.float32)
    std = np.asarray(how.get("std") or 1.0, dtype=np.float32)
    if scale != 1.0 or mean.any() or (std != 1.0).any():
        pixels = pixels * (np.float32(scale) / std) - mean / std
    layout = how.get("layout") or _layout(wanted.item_shape)
    if layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return _shaped(_cast(pixels, wanted.dtype), wanted.item_shape)


def is_numeric(value: Any) -> bool:
    """Whether a field without a name of its own counts among a model's numbers."""
    if isinstance(value, Array):
        return True
    if isinstance(value, list):
        return bool(value) and is_numeric(value[0])
    return isinstance(value, bool | int | float)


def _layout(shape: Sequence[Size]) -> str:
    return "NHWC" if len(shape) == 3 and shape[0] not in (1, 3) and shape[2] in (1, 3) else "NCHW"


def _plain(value: Any) -> Tensor:
    if isinstance(value, Array):
        dtype = np.dtype(value.dtype).newbyteorder("<")
        return np.frombuffer(value.data, dtype).reshape(value.shape)
    try:
        plain = np.array(value)
    except (ValueError, OverflowError) as error:
        raise Unfit("its lists are of different lengths, or a number is too large") from error
    if plain.dtype.kind == "U" and not all(
        isinstance(each, str) for each in np.array(value, dtype=object).reshape(-1)
    ):
        raise Unfit("it mixes text with something else")
    if plain.dtype.kind not in "U" + _NUMBERS:
        raise Unfit("it holds null, an object, or a number that is too large")
    return plain


def _cast(array: Tensor, dtype: str) -> Tensor:
    """In the machine's own byte order. Raises Unfit."""
    is_text = array.dtype.kind == "U"
    if is_text or dtype == "string":
        if not is_text and array.size:
            raise Unfit("the tensor wants text")
        if dtype != "string":
            raise Unfit(f"it is text, and the tensor wants {dtype}")
        return array.astype(object)
    target = np.dtype(dtype)
    if target.kind == array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            cast = array.astype(target)
        if target.itemsize < array.dtype.itemsize and (np.isinf(cast) & ~np.isinf(array)).any():
            raise Unfit(f"a number is too large for {dtype}")
        return cast
    if target.kind == "f":
        return array.astype(target)
    if target.kind == "b":
        if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
            raise Unfit("the tensor wants true or false")
        return array.astype(target)
    return _whole(array, target)


def _whole(array: Tensor, target: np.dtype[Any]) -> Tensor:
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all():
        raise Unfit(f"a number is not whole, and the tensor wants {target}")
    if array.size and array.dtype.kind != "b":
        bounds = np.iinfo(target)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise Unfit(f"a number is out of the range of {target}")
    return array.astype(target)


def _shaped(array: Tensor, wanted: Sequence[Size]) -> Tensor:
    """The same numbers with axes of size 1 where the tensor has them, or without. Raises Unfit."""
    if _matches(array.shape, wanted):
        return np.ascontiguousarray(array).reshape(array.shape)
    left = [size for size in array.shape if size != 1]
    shape = []
    for size in wanted:
        if size == 1 or not left:
            shape.append(1)
        else:
            shape.append(left.pop(0))
    if left or not _matches(shape, wanted):
        shown = tuple("any" if size is None else size for size in wanted)
        raise Unfit(f"it has the shape {array.shape}, and the tensor wants {shown}")
    return np.ascontiguousarray(array).reshape(shape)


def _matches(shape: Sequence[int], wanted: Sequence[Size]) -> bool:
    return len(shape) == len(wanted) and all(
        size in (None, found) for found, size in zip(shape, wanted, strict=True)
    )
