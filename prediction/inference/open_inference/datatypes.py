"""Datatypes of the protocol, and their values as bytes of its binary extension: little endian, in C order."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

BYTES = "BYTES"

NUMPY: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
"""numpy's names; a text or file is of BYTES, which numpy does not know. BF16 is not offered."""

_LENGTH = struct.Struct("<I")


def array_of_bytes(data: memoryview, datatype: str, items: int) -> np.ndarray[Any, Any]:
    """So many numbers. Raises ValueError where there are more or fewer."""
    dtype = np.dtype(NUMPY[datatype]).newbyteorder("<")
    if len(data) != items * dtype.itemsize:
        raise ValueError(f"{items * dtype.itemsize:,} bytes are needed, and {len(data):,} came")
    values: np.ndarray[Any, Any] = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    return values.astype(bool) if datatype == "BOOL" else values


def elements_of_bytes(data: memoryview, items: int) -> list[bytes]:
    """So many texts or files, each after its length (4 bytes). Raises ValueError."""
    elements: list[bytes] = []
    at = 0
    while at < len(data) and len(elements) < items:
        start = at + _LENGTH.size
        length = _LENGTH.unpack(data[at:start])[0] if start <= len(data) else 0
        at = start + length
        if at > len(data):
            raise ValueError(f"element {len(elements)} reaches beyond the data")
        elements.append(bytes(data[start:at]))
    if len(elements) < items:
        raise ValueError(f"{items} elements are needed, and {len(elements)} came")
    if at < len(data):
        raise ValueError(f"{len(data) - at} bytes are left behind the last of {items} elements")
    return elements


def bytes_of_elements(texts: Iterable[str]) -> bytes:
    """Texts, each after its length."""
    encoded = [text.encode(errors="replace") for text in texts]
    return b"".join(piece for each in encoded for piece in (_LENGTH.pack(len(each)), each))
