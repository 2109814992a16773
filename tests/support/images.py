"""Pictures of the tests' own, and the files that they are sent as."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[Any]


def colours(height: int = 12, width: int = 17) -> Pixels:
    """A smooth picture that is alike nowhere: none of its turns looks like another."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = rows * 255 // (height - 1), columns * 255 // (width - 1)
    return np.stack([red, green, (rows * 3 + columns * 7) % 256], axis=-1).astype(np.uint8)


def grey(height: int = 12, width: int = 17) -> Pixels:
    return colours(height, width)[..., 1]


def file_of(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file of Pillow's."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of_chunks(width: int, height: int, depth: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with any header and chunks; a header alone is enough to claim any size."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pieces = [b"\x89PNG\r\n\x1a\n"]
    for name, data in (header, *chunks, (b"IEND", b"")):
        pieces.append(struct.pack(">I", len(data)) + name + data)
        pieces.append(struct.pack(">I", zlib.crc32(name + data)))
    return b"".join(pieces)


def tiff_of_tags(*tags: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    """A little-endian TIFF with any tags: number, type, count, value or offset. Data begins at byte 1000."""
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0)).ljust(1000, b"\0") + data
