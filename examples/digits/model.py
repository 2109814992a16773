"""A small convolutional network that reads digits; what a version needs to be loaded."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = "model.safetensors"
DIGITS = 10


class DigitNetwork(nn.Module):
    """From images of any size, at least 8×8, to a score for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
        )
        self.scores = nn.Linear(32 * 4 * 4, DIGITS)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (n, 10) of images (n, height, width) of bytes, from 0 to 255."""
        scaled = images.unsqueeze(1).float() / 255.0
        return self.scores(self.features(scaled).flatten(1))


def load(folder: Path) -> DigitNetwork:
    """The network of a version's folder; nothing in it is unpickled."""
    network = DigitNetwork()
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network.eval()


@torch.inference_mode()
def recognize(network: DigitNetwork, images: Tensor, batch: int = 512) -> Tensor:
    """Probabilities (n, 10) of images (n, height, width)."""
    return torch.cat([network(part).softmax(1) for part in images.split(batch)])
