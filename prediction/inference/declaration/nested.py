"""Nested lists of JSON as arrays of numbers."""

from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from prediction.inference.declaration.problems import Misfit, shown

MOST_DIMENSIONS = 16

Numbers = npt.NDArray[Any]
"""Of any datatype of numbers."""


def flattened(value: list[Any]) -> tuple[tuple[int, ...], list[Any]]:
    """Shape of nested lists, and what they hold, row by row.

    Raises:
        Misfit: Lists beside each other differ in length, or nest deeper than MOST_DIMENSIONS.
    """
    shape: tuple[int, ...] = (len(value),)
    flat = value
    while any(isinstance(each, list) for each in flat):
        length = len(flat[0]) if isinstance(flat[0], list) else -1
        if not all(isinstance(each, list) and len(each) == length for each in flat):
            raise Misfit("has lists of unequal length beside each other")
        if len(shape) == MOST_DIMENSIONS:
            raise Misfit(f"has more than {MOST_DIMENSIONS} dimensions")
        shape, flat = (*shape, length), list(chain.from_iterable(flat))
    return shape, flat


def numbers(flat: list[Any], *, whole: bool = False) -> Numbers:
    """Numbers as int64, or as float64 where one has a point; `whole`: and is no integer such as 3.0.

    Raises:
        Misfit: One is no number, or too large.
    """
    kinds = set(map(type, flat))
    if not kinds <= {int, float}:
        stranger = next(each for each in flat if type(each) not in (int, float))
        raise Misfit(f"must hold numbers, and holds {shown(stranger)}")
    if whole and float in kinds and all(each.is_integer() for each in flat if type(each) is float):
        # As floats, large integers beside them would be others.
        flat, kinds = list(map(int, flat)), {int}
    try:
        return np.array(flat, dtype=np.float64 if float in kinds else np.int64)
    except OverflowError as error:
        raise Misfit("holds an integer of more than 64 bits") from error


def as_integers(array: Numbers) -> Numbers:
    """The same as int64; 3.0 is an integer. Raises Misfit."""
    check_finite(array)
    if array.dtype.kind == "f" and (np.trunc(array) != array).any():
        raise Misfit("must hold integers, and holds a fraction")
    wide = array.astype(np.float64)
    if array.dtype.kind in "fu" and ((wide >= 2.0**63) | (wide < -(2.0**63))).any():
        raise Misfit("holds an integer of more than 64 bits")
    return array.astype("<i8")


def as_float32(array: Numbers) -> Numbers:
    """The same with 32 bits. Raises Misfit."""
    check_finite(array)
    with np.errstate(over="ignore"):
        narrowed = array.astype("<f4")
    if not np.isfinite(narrowed).all():
        raise Misfit("holds a number too large for 32 bits")
    return narrowed


def check_finite(array: Numbers) -> None:
    """Raise Misfit where an array holds what is no number."""
    if array.dtype.kind not in "iuf":
        raise Misfit("must hold numbers")
    if not np.isfinite(array).all():
        raise Misfit("holds NaN or an infinity, which are no numbers")
