"""Bytes of an image file, decoded: by what they are and not by a name, and looked at before they are.

Of a JPEG or TIFF with several pictures it is the first.
"""

import contextlib
import ctypes
import logging
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import PIL
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from prediction.inference.images.formats import READ, format_of
from prediction.inference.images.limits import ImageLimits, UnreadableImage, check_size

# Pillow warns of strange tags and goes on, which is nothing that the service's operator could mend. For
# good, as `warnings.catch_warnings` is not for threads, and images are decoded in many.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# libtiff writes what it finds wrong to stderr, a line for each row of a picture: nobody's file shall fill the
# service's log. Pillow has no switch for it; its wheels carry the library beside it.
for _library in (Path(PIL.__file__).parents[1] / "pillow.libs").glob("libtiff-*.so*"):
    for _name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(str(_library)), _name)(None)

# The classes themselves: `Image.open` warns of a large image before one can look at its header, and would
# make several pictures of what some phones' cameras call a JPEG.
_READERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "TIFF": TiffImageFile,
}

_T = TypeVar("_T")

_COMPRESSION, _TILE = 259, (322, 323)

_COMPRESSIONS = frozenset([1, 2, 3, 4, 5, 7, 8, 32773, 32946])
"""None, fax, LZW, JPEG, deflate, PackBits. Others are rare, and some take as much memory as they say."""

_SCAN = b"\xff\xda"
_MOST_SCANS = 100
"""Of a JPEG, which has some ten: each goes over the whole picture, and may take a few bytes of the file."""

_PNG_DEPTH = 24
"""Where a PNG's header says how many bits a channel has."""

_WHAT_TO_SEND = "send a JPEG, PNG, WebP or TIFF"


def _nothing_kept(width: int, height: int) -> int:
    return 0


def open_image(
    data: bytes, limits: ImageLimits, kept_bytes: Callable[[int, int], int] = _nothing_kept
) -> ImageFile:
    """Decode an image. It blocks, for milliseconds to seconds: call it in a thread.

    Profiles of colours (ICC) are left alone: what models are trained with hardly ever heeds them either.

    Args:
        kept_bytes: What is kept of a picture of this width and height.
    Returns:
        The picture in the mode that its file has, not yet turned upright.
    Raises:
        UnreadableImage: It is too large, no image, damaged, cut off, or an animation.
        ImagesTooLarge: With others of its question.
    """
    if not data:
        raise UnreadableImage("the image is empty: it has no bytes")
    if len(data) > limits.most_bytes:
        raise UnreadableImage(f"the image has {len(data):,} bytes, more than {limits.most_bytes:,}")
    name = format_of(data)
    if name not in READ:
        raise UnreadableImage(f"this is {name}: {_WHAT_TO_SEND}")
    image = _attempt(name, "is damaged, or of a kind that is not read", lambda: _READERS[name](BytesIO(data)))
    check_size(*image.size, limits)
    if isinstance(image, TiffImageFile):
        _check_tiff(image, limits)
    if name == "JPEG" and data.count(_SCAN) > _MOST_SCANS:
        raise UnreadableImage(f"the JPEG has more than {_MOST_SCANS} scans")
    if name in ("PNG", "WebP") and getattr(image, "n_frames", 1) > 1:
        raise UnreadableImage(f"the {name} is an animation: send a single picture")
    limits.take(kept_bytes(*image.size))
    _attempt(name, "is damaged or cut off", lambda: _load(image, data))
    return image


def _check_tiff(image: TiffImageFile, limits: ImageLimits) -> None:
    """Raise UnreadableImage where a TIFF takes more memory than its pixels."""
    if image.tag_v2.get(_COMPRESSION, 1) not in _COMPRESSIONS:
        raise UnreadableImage("the TIFF is compressed in a way that is not read: send LZW, deflate or none")
    # A tile is decoded as a whole, and may be larger than the picture that it is part of.
    tile = [image.tag_v2.get(tag, 1) for tag in _TILE]
    if not all(isinstance(side, int) for side in tile) or tile[0] * tile[1] > limits.most_pixels:
        raise UnreadableImage(
            f"the TIFF has tiles of more than the {limits.most_pixels:,} pixels that are read"
        )


def _load(image: ImageFile, data: bytes) -> None:
    if isinstance(image, PngImageFile):
        # Decoding passes over checksums of pixels; this one looks at all.
        PngImageFile(BytesIO(data)).verify()
    image.load()
    if isinstance(image, PngImageFile):
        _scale_transparency(image, data[_PNG_DEPTH])


def _scale_transparency(image: PngImageFile, bits: int) -> None:
    """Bring the level or colour that is transparent to the 8 bits that Pillow has made of the pixels.

    Of 16 bits a colour keeps the upper ones alone, so that its nearest neighbours are transparent, too.
    """
    transparent = image.info.get("transparency")
    most = (1 << bits) - 1
    if isinstance(transparent, int) and image.mode in ("1", "L"):
        image.info["transparency"] = (transparent & most) * 255 // most
    elif isinstance(transparent, tuple):
        image.info["transparency"] = tuple((each & most) >> (bits - 8) for each in transparent)


def _attempt(name: str, failure: str, work: Callable[[], _T]) -> _T:
    """What Pillow does with a hostile file may end in any exception of Python's."""
    try:
        return work()
    except Exception as error:
        raise UnreadableImage(f"the {name} {failure}") from error
