"""Pictures of any size and kind, brought into the form that a model was trained with."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from prediction.inference.images.colours import plain, upright
from prediction.inference.images.form import ImageForm
from prediction.inference.images.limits import ImageLimits, UnreadableImage, check_size
from prediction.inference.images.opening import open_image
from prediction.inference.model_process.frames import Array

_BILINEAR = Image.Resampling.BILINEAR  # of Pillow: over all pixels that become one, thus smooth

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(data: bytes, form: ImageForm, limits: ImageLimits) -> Array:
    """The array of an image file; the same for the same picture in any format, up to what that loses.

    It blocks, for milliseconds to seconds: call it in a thread.

    Returns:
        uint8, (height, width) of mode `L`, otherwise (height, width, 3).
    Raises:
        UnreadableImage: It is none, damaged, or larger than the limits.
        ImagesTooLarge: With others of its question.
    """
    return _formed(upright(open_image(data, limits, form.bytes_of)), form)


def read_pixels(pixels: npt.NDArray[np.uint8], form: ImageForm, limits: ImageLimits) -> Array:
    """The same of pixels: (H, W), (H, W, 1), (H, W, 3), or (H, W, 4) where the last is how opaque they are.

    Raises:
        UnreadableImage: They have another shape, or are too many.
        ImagesTooLarge: With others of their question.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.ndim not in (2, 3) or channels not in _MODES:
        shape = " × ".join(map(str, pixels.shape))
        raise UnreadableImage(f"pixels are rows of columns, of 1, 3 or 4 channels each; these are {shape}")
    height, width = pixels.shape[:2]
    check_size(width, height, limits)
    limits.take(form.bytes_of(width, height))
    data = np.ascontiguousarray(pixels).tobytes()
    return _formed(Image.frombytes(_MODES[channels], (width, height), data), form)


def _formed(image: Image.Image, form: ImageForm) -> Array:
    image = plain(image, form.mode, form.background)
    if form.size is not None and form.size != image.size:
        image = _fitted(image, form.size, form)
    if form.invert:
        image = ImageOps.invert(image)
    shape = (image.height, image.width)
    return Array("uint8", shape if form.mode == "L" else (*shape, 3), image.tobytes())


def _fitted(image: Image.Image, size: tuple[int, int], form: ImageForm) -> Image.Image:
    if form.fit == "stretch":
        return image.resize(size, _BILINEAR)
    if form.fit == "cover":
        return ImageOps.fit(image, size, _BILINEAR)
    scale = min(size[0] / image.width, size[1] / image.height)
    # At least a pixel: `ImageOps.pad` makes nothing of a picture that is a line.
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new("RGB", size, form.background).convert(form.mode)
    canvas.paste(image.resize((width, height), _BILINEAR), ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas
