"""A decoded picture, upright and in plain colours: 8 bits, no palette, nothing transparent."""

import math
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from prediction.inference.images.limits import UnreadableImage

_ORIENTATION = 0x0112

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an orientation. `ImageOps.exif_transpose` writes all tags anew, which broken ones prevent."""

_WHITE_IS_ZERO = 0
_BITS, _PHOTOMETRIC = 258, 262
_RANGES = ((340, 341), (280, 281))
"""Tags of a TIFF with the least and the largest value, of its own type or as integers."""


def upright(image: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen: turned and mirrored as its EXIF says, where that can be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a picture with broken EXIF is shown as it lies, by browsers too
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def plain(image: Image.Image, mode: str, background: tuple[int, int, int]) -> Image.Image:
    """The picture in mode `L` or `RGB`, its transparent parts over a background.

    Deeper pixels are scaled to 0..255: 16 bits by what they can hold, others by the range that their TIFF
    states. Grey of a colour is 0.299 R + 0.587 G + 0.114 B.

    Raises:
        UnreadableImage: Its pixels are of a kind with no known range or colours.
    """
    if image.mode.startswith("I;16"):
        image = _from_16_bits(image)
    elif image.mode in ("I", "F"):
        image = _from_stated_range(image)
    try:
        if image.has_transparency_data:
            return _over(image.convert("RGBA"), background).convert(mode)
        if image.mode == "CMYK" or image.mode == "P":
            image = image.convert("RGB")
        return image.convert(mode)
    except Exception as error:
        raise UnreadableImage(f"colours of the kind {image.mode} are not read: send RGB or grey") from error


def _over(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=image)
    return canvas


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    most, inverted = 65_535, False
    if isinstance(image, TiffImageFile):
        most = (1 << min(max(_first(image.tag_v2.get(_BITS), 16), 1), 16)) - 1
        inverted = _first(image.tag_v2.get(_PHOTOMETRIC), 1) == _WHITE_IS_ZERO
    grey = np.minimum((values * 255 + most // 2) // most, 255).astype(np.uint8)
    scaled = Image.fromarray(255 - grey if inverted else grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
        return Image.merge("LA", (scaled, Image.fromarray(alpha)))
    return scaled


def _from_stated_range(image: Image.Image) -> Image.Image:
    least, most = _stated_range(image)
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImage("the image holds pixels that are no number")
    scaled = np.clip((values - least) * (255.0 / (most - least)), 0, 255)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _stated_range(image: Image.Image) -> tuple[float, float]:
    if isinstance(image, TiffImageFile):
        for least_tag, most_tag in _RANGES:
            least = _first(image.tag_v2.get(least_tag), math.nan)
            most = _first(image.tag_v2.get(most_tag), math.nan)
            if math.isfinite(least) and math.isfinite(most - least) and least < most:
                return float(least), float(most)
    raise UnreadableImage(
        "the image has numbers for pixels and does not say of what range: send 8 or 16 bits"
    )


def _first(value: Any, otherwise: Any) -> Any:
    """A tag's number, or that of its first channel."""
    if isinstance(value, tuple):
        value = value[0] if value else otherwise
    return value if isinstance(value, int | float) else otherwise
