"""A ResNet-50 with random weights, as an ONNX file: what serving is measured with.

Source: He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385, table 1.
"""

import io

import torch
from torch import Tensor, nn

SIZE = 224
CLASSES = 1000
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, blocks and stride of each stage."""

_EXPANSION = 4


def _convolution(inner: int, outer: int, kernel: int, stride: int = 1) -> nn.Sequential:
    padding = kernel // 2
    return nn.Sequential(nn.Conv2d(inner, outer, kernel, stride, padding, bias=False), nn.BatchNorm2d(outer))


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut."""

    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        outer = width * _EXPANSION
        self.convolutions = nn.Sequential(
            _convolution(inner, width, 1),
            nn.ReLU(),
            _convolution(width, width, 3, stride),
            nn.ReLU(),
            _convolution(width, outer, 1),
        )
        is_same = stride == 1 and inner == outer
        self.shortcut = nn.Identity() if is_same else _convolution(inner, outer, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(n, width, h, w) of (n, inner, …)."""
        return torch.relu(self.convolutions(images) + self.shortcut(images))


def resnet50(classes: int = CLASSES) -> nn.Module:
    """Scores (n, classes) of images (n, 3, 224, 224); 25.6 million parameters."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inner = 64
    for width, blocks, stride in _STAGES:
        for number in range(blocks):
            layers.append(Bottleneck(inner, width, stride if number == 0 else 1))
            inner = width * _EXPANSION
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inner, classes)).eval()


def small_network(classes: int = 10) -> nn.Module:
    """Scores (n, classes) of grey images (n, 1, 28, 28): of a kind that is computed faster together."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, classes),
    ).eval()


def as_onnx(network: nn.Module, channels: int, size: int) -> bytes:
    """The network as a file, for any number of rows: input `image`, output `scores`."""
    content = io.BytesIO()
    program = torch.onnx.export(
        network,
        (torch.zeros(2, channels, size, size),),
        input_names=["image"],
        output_names=["scores"],
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("rows", min=1, max=4096)},),
        external_data=False,
        verbose=False,
    )
    assert program is not None, "the exporter of dynamo returns a program"
    program.save(content, external_data=False)
    return content.getvalue()
