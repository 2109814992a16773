"""How good a network is, on images of digits that it has never seen."""

from typing import Any

import torch
from model import DIGITS, DigitNetwork, recognize
from torch import Tensor
from torch.nn.functional import nll_loss


def evaluate(network: DigitNetwork, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy, loss and recall of each digit that there is, for `metrics.json`."""
    probabilities = recognize(network.eval(), images)
    right = probabilities.argmax(1) == labels
    recall = {
        str(digit): float(right[labels == digit].float().mean())
        for digit in range(DIGITS)
        if (labels == digit).any()
    }
    return {
        "accuracy": float(right.float().mean()),
        "loss": float(nll_loss(torch.log(probabilities.clamp_min(1e-12)), labels)),
        "recall": recall,
        "test_images": len(labels),
    }
