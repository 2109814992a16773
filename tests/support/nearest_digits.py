"""A model of handwritten digits without a training: an image is the digit whose mean it is closest to."""

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image
from sklearn.datasets import load_digits

from tests.support.images import file_of

SIGNATURE: dict[str, Any] = {
    "inputs": {"image": {"type": "image", "mode": "L", "width": 8, "height": 8, "scale": 1 / 255}},
    "output": {"scores": "scores", "labels": [str(digit) for digit in range(10)], "activation": "softmax"},
}

_SHARPNESS = 4.0
"""How sure the model is of small differences."""


def digit_files() -> dict[str, str | bytes]:
    """Of a version; its scores are differences of squared distances."""
    pixels, digits = _known()
    means = np.stack([pixels[digits == digit].mean(0) for digit in range(10)])
    bias = -(means**2).sum(1) / 2
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "means"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["scores"]),
        ],
        "nearest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 10])],
        [
            onnx.numpy_helper.from_array((_SHARPNESS * means.T).astype(np.float32), "means"),
            onnx.numpy_helper.from_array((_SHARPNESS * bias).astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = (pixels @ means.T + bias).argmax(1)
    accuracy = round(float((found == digits).mean()), 4)
    return {
        "model.onnx": model.SerializeToString(),
        "signature.json": json.dumps(SIGNATURE),
        "metrics.json": json.dumps({"accuracy": accuracy}),
    }


def digit_images(count: int) -> dict[str, bytes]:
    """PNGs of digits by name, each with the digit that it shows."""
    pixels, digits = _known()
    chosen = [int(np.flatnonzero(digits == digit)[0]) for digit in (4, 0, 7, 2, 6)][:count]
    return {
        f"{digits[each]}-{each}.png": file_of(
            Image.fromarray((pixels[each].reshape(8, 8) * 255).astype(np.uint8)).resize((64, 64)), "PNG"
        )
        for each in chosen
    }


def _known() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    found = load_digits()
    return found.data / 16, found.target
