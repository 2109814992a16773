"""What a version answers with: `predict_batch` for many images at once, `predict` for one.

Lies beside `model.py` and `model.safetensors`.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from model import DigitNetwork, load, recognize
from torch import Tensor

_FOLDER = Path(__file__).resolve().parent


@cache
def _network() -> DigitNetwork:
    return load(_FOLDER)


def predict_batch(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The digit of each input's `image`, rows of pixels from 0 to 255, and how sure that is, from 0 to 1."""
    images = [torch.as_tensor(each["image"], dtype=torch.uint8) for each in inputs]
    if len({image.shape for image in images}) == 1:
        return [_said(each) for each in recognize(_network(), torch.stack(images))]
    return [_said(recognize(_network(), image.unsqueeze(0))[0]) for image in images]


def _said(probabilities: Tensor) -> dict[str, Any]:
    return {"digit": int(probabilities.argmax()), "probability": float(probabilities.max())}


def predict(image: list[list[int]]) -> dict[str, Any]:
    """The same for one image."""
    return predict_batch([{"image": image}])[0]
