"""How large an image may be, and what is said of one that cannot be read."""

from dataclasses import dataclass, field, replace

from common.errors import InvalidRequest, PayloadTooLarge

LONGEST_SIDE = 65_535
"""Pixels of a side; those of the longest that JPEG knows. Resizing takes memory for each of them."""


class ImagesTooLarge(PayloadTooLarge):
    """Images of one question take too much together, each of which may be as it is."""

    title = "The images are too large together"


class Room:
    """What is left for images that are decoded together."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = self._left_bytes = most_bytes
        self._is_closed = False

    def close(self) -> None:
        """There is none for further ones: nobody waits for them any more."""
        self._is_closed = True

    def take(self, size_bytes: int) -> None:
        """Raises ImagesTooLarge."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0 or self._is_closed:
            raise ImagesTooLarge(
                f"Decoded, the images take more than {self._most_bytes:,} bytes together"
                " (SERVING_MAX_WAITING_BYTES); ask with fewer rows at once."
            )


@dataclass(frozen=True)
class ImageLimits:
    """Of one image as it comes, and of those of one question together."""

    most_bytes: int = 16 << 20
    most_pixels: int = 40_000_000
    """Looked at in the header, before anything is decoded."""
    most_decoded_bytes: int = 256 << 20
    """Of all images of a question, as the model is given them; looked at before each is decoded."""
    room: Room | None = field(default=None, compare=False)
    """What is left of that; None: nobody counts."""

    def of_one_question(self) -> "ImageLimits":
        """The same, counting from now on."""
        return replace(self, room=Room(self.most_decoded_bytes))

    def take(self, size_bytes: int) -> None:
        """Count an image that is about to be decoded. Raises ImagesTooLarge."""
        if self.room is not None:
            self.room.take(size_bytes)


class UnreadableImage(InvalidRequest):
    """What came is no image that can be read; the message is for the person who has sent it."""

    title = "The image cannot be read"


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise UnreadableImage where an image has no pixel, or too many."""
    if width < 1 or height < 1:
        raise UnreadableImage("the image has no pixels")
    if width * height > limits.most_pixels:
        raise UnreadableImage(
            f"the image has {width} × {height} pixels, more than the {limits.most_pixels:,} that are read"
        )
    if max(width, height) > LONGEST_SIDE:
        raise UnreadableImage(
            f"the image has {width} × {height} pixels; no side may be longer than {LONGEST_SIDE:,}"
        )
