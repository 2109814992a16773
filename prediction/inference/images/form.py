"""The form that pictures are brought into: what a model was trained with."""

from dataclasses import dataclass
from typing import Literal

Fit = Literal["stretch", "cover", "contain"]


@dataclass(frozen=True)
class ImageForm:
    """What every picture is made into.

    Args:
        mode: Grey (`L`) or colours (`RGB`).
        size: Width and height in pixels; None leaves each picture its own.
        fit: `stretch` changes proportions, `cover` cuts off what stands out on both sides, `contain` leaves
            room, in the background's colour.
        background: What shines through where a picture is transparent: red, green, blue.
        invert: Whether dark becomes light in the end.
    """

    mode: Literal["L", "RGB"] = "RGB"
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    background: tuple[int, int, int] = (255, 255, 255)
    invert: bool = False

    def bytes_of(self, width: int, height: int) -> int:
        """What a picture of this size takes once it is made into the form."""
        width, height = self.size or (width, height)
        return width * height * (1 if self.mode == "L" else 3)
