"""Models of teams, put into a service as a person would: a workspace, its files, a version of them."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.support.samples import unique_name

Json = dict[str, Any]

ADDS = """
def predict(a: float, b: float = 1.0) -> dict:
    if a == 13:
        raise ValueError("thirteen is not added")
    return {"sum": a + b}
"""

TELLS = """
VERSION = {version}

def predict(inputs):
    return {{"label": str(VERSION), "probability": 0.75, "inputs": inputs}}
"""


class TeamsModel:
    """A model of a workspace of its own; each folder that is published is a version."""

    def __init__(self, client: httpx.AsyncClient, name: str | None = None) -> None:
        self.client = client
        self.short_name = name or unique_name("model")
        self.workspace = unique_name("team").lower().replace("_", "-")[:60]
        self.name = f"spark.{self.short_name}.program"

    async def publish(self, files: Mapping[str, str | bytes], gate: Json | None = None) -> int:
        """The number of the version."""
        folder = unique_name("folder").lower()
        (await self.client.put(f"/workspaces/{self.workspace}", json={})).raise_for_status()
        for path, content in files.items():
            address = f"/workspaces/{self.workspace}/files/{folder}/{path}"
            data = content.encode() if isinstance(content, str) else content
            (await self.client.put(address, content=data)).raise_for_status()
        body = {"model": self.short_name, "folder": folder, **({"gate": gate} if gate else {})}
        response = await self.client.post(f"/workspaces/{self.workspace}/versions", json=body)
        assert response.status_code == 201, response.text
        return int(response.json()["version"])

    async def serve(self, **options: Any) -> Json:
        """What serves is said to be from now on."""
        response = await self.client.put(f"/serving/{self.short_name}", json=options)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    async def ask(self, **inputs: Any) -> httpx.Response:
        return await self.client.post(f"/serving/{self.short_name}/predict", json={"inputs": inputs})

    async def ask_with_image(self, image: bytes) -> httpx.Response:
        return await self.client.post(f"/serving/{self.short_name}/predict", files={"image": image})

    async def details(self) -> Json:
        response = await self.client.get(f"/serving/{self.short_name}")
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found


def tells(version: int) -> dict[str, str | bytes]:
    """A prediction file that answers with its own number."""
    return {"predict.py": TELLS.format(version=version)}


def linear_onnx(weights: Any, bias: Any) -> bytes:
    """A model with the tensor `features` (N, k) and `scores` (N, labels)."""
    weights, bias = np.asarray(weights, np.float32), np.asarray(bias, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["scores"]),
        ],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", weights.shape[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", weights.shape[1]])],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def bright_onnx(size: int = 8) -> bytes:
    """A model that says of a grey image `image` (N, 1, size, size) whether it is dark or bright."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "one"], ["bright"]),
            helper.make_node("Sub", ["whole", "bright"], ["dark"]),
            helper.make_node("Concat", ["dark", "bright"], ["scores"], axis=1),
        ],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 1, size, size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2])],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "one"),
            onnx.numpy_helper.from_array(np.array([[1.0]], np.float32), "whole"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


BRIGHT: Json = {
    "inputs": {
        "image": {
            "type": "image",
            "mode": "L",
            "width": 8,
            "height": 8,
            "scale": 1 / 255,
            "layout": "NCHW",
            "background": "#ffffff",
        }
    },
    "output": {"scores": "scores", "labels": ["dark", "bright"]},
}


def bright_files() -> dict[str, str | bytes]:
    """Of a version that tells dark images from bright ones."""
    return {
        "model.onnx": bright_onnx(),
        "signature.json": json.dumps(BRIGHT),
        "metrics.json": json.dumps({"accuracy": 0.9}),
    }


def top_files() -> dict[str, str | bytes]:
    """Of a version that tells in which half a grey image is bright: turned over, it says the other."""
    pixels = np.repeat([[1.0, 0.0], [0.0, 1.0]], 32, axis=0) / 32
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "halves"], ["scores"]),
        ],
        "top",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2])],
        [onnx.numpy_helper.from_array(pixels.astype(np.float32), "halves")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    signature = {**BRIGHT, "output": {"scores": "scores", "labels": ["top", "bottom"]}}
    return {**bright_files(), "model.onnx": content, "signature.json": json.dumps(signature)}
