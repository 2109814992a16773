"""What people have said of predictions, as images to learn from: `feedback.jsonl` in ENEL_FEEDBACK_DIR.

A line has the `right_label` where it is known, and the image in `inputs` (rows of pixels) or as a file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model import DIGITS
from PIL import Image, ImageOps
from torch import Tensor


@dataclass(frozen=True)
class Said:
    """Images, and what people say that they show."""

    images: Tensor
    """Bytes, (n, height, width)."""
    labels: Tensor
    """(n)."""

    def checksum(self) -> str | None:
        """The same words, the same checkpoints; None: nobody has said anything."""
        if not len(self.labels):
            return None
        return hashlib.sha256(self.images.numpy().tobytes() + self.labels.numpy().tobytes()).hexdigest()


def read_feedback(folder: Path, shape: tuple[int, int]) -> Said:
    """All that can be read; what cannot is told and left out.

    Args:
        shape: Height and width of the images that the network learns from.
    """
    path = folder / "feedback.jsonl"
    images: list[np.ndarray] = []
    labels: list[int] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        said = json.loads(line)
        try:
            label = int(said["right_label"])
            if not 0 <= label < DIGITS:
                raise ValueError(f"{label} is no digit")
            images.append(_image(said, folder, shape))
            labels.append(label)
        except Exception as error:  # of a picture that somebody has sent, it may be any; it ends no training
            print(f"feedback of {said.get('prediction_id')} is left out: {error}", flush=True)
    stacked = np.stack(images) if images else np.empty((0, *shape), np.uint8)
    return Said(torch.from_numpy(stacked), torch.tensor(labels, dtype=torch.long))


def _image(said: dict[str, Any], folder: Path, shape: tuple[int, int]) -> np.ndarray:
    """Of bytes, (height, width)."""
    if name := said["files"].get("image"):
        with Image.open(folder / name) as image:
            grey = _grey(image).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
            return np.asarray(grey, np.uint8)
    pixels = np.asarray(said["inputs"]["image"])
    if pixels.shape != shape or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError(f"pixels of shape {pixels.shape}")
    return pixels.astype(np.uint8)


def _grey(image: Image.Image) -> Image.Image:
    """As the model was asked with it, by signature.json: upright, 8 bits, what is transparent over black."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(((np.asarray(image, np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.has_transparency_data:
        drawn, ground = image.convert("RGBA"), Image.new("RGB", image.size, "#000000")
        ground.paste(drawn, mask=drawn)
        image = ground
    return image.convert("L")
