"""Pictures for people, small enough for a list of them."""

from io import BytesIO

from prediction.inference.images.colours import plain, upright
from prediction.inference.images.limits import ImageLimits
from prediction.inference.images.opening import open_image

SMALL_PIXELS = 160
"""Of the longer side."""

_WHITE = (255, 255, 255)


def small_png(data: bytes, limits: ImageLimits) -> bytes:
    """A PNG of an image file, upright and in plain colours.

    It blocks, for milliseconds to seconds: call it in a thread.

    Raises:
        UnreadableImage: It is none, damaged, or larger than the limits.
    """
    image = plain(upright(open_image(data, limits)), "RGB", _WHITE)
    image.thumbnail((SMALL_PIXELS, SMALL_PIXELS))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
