"""Small ONNX models, made with the `onnx` package's helper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prediction.inference.model_process.child import ModelConfig

Shape = Sequence[int | str | None]


def onnx_file(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, Shape]],
    outputs: Mapping[str, tuple[int, Shape]],
    weights: Mapping[str, Any] | None = None,
    *,
    plan: Mapping[str, Any] | None = None,
    external_data: str | None = None,
) -> ModelConfig:
    """A version of one model.

    Args:
        inputs: Datatype and shape by name.
        external_data: A file beside it that holds the weights.
    """
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()],
        [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    file = folder / "model.onnx"
    onnx.save(
        model,
        file,
        save_as_external_data=external_data is not None,
        location=external_data,
        size_threshold=0,
    )
    return ModelConfig("onnx", folder, file.name, 1, plan or {})


def passing_on(
    folder: Path,
    dtype: int = TensorProto.FLOAT,
    shape: Shape = ("N", 3),
    plan: Mapping[str, Any] | None = None,
) -> ModelConfig:
    """A model that answers with what it is given."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return onnx_file(folder, nodes, {"x": (dtype, shape)}, {"y": (dtype, shape)}, plan=plan)
