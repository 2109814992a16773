#!/usr/bin/env bash
# onnxruntime 1.32.0 takes a big-endian NumPy array for a little-endian one: no error, other numbers.
#
# NumPy computes, prints and compares arrays of either byte order alike, and files bring foreign ones: IDX
# (MNIST), FITS, netCDF, everything read with `np.frombuffer(data, ">f4")`. onnxruntime compares the kind of
# number alone and reads the bytes as they lie: 1.0 becomes 4.6e-41, and an integer 1 becomes 2**56. So a model
# answers, and all that is wrong are its answers. `OrtValue.ortvalue_from_numpy` does the same.
#
# Needs bash, Python 3.11, and a little-endian machine. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

cat >see.py <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def echoed(kind, values):
    """What a model answers that gives back its input."""
    tensors = [helper.make_tensor_value_info(name, kind, [None]) for name in ("given", "answer")]
    graph = helper.make_graph([helper.make_node("Identity", ["given"], ["answer"])], "echo", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"given": values})[0]


print("onnxruntime", onnxruntime.__version__, "NumPy", np.__version__)
seen = {}
for kind, dtype in ((TensorProto.FLOAT, "f4"), (TensorProto.INT64, "i8")):
    foreign = np.array([1, 2, 3], f">{dtype}")
    native = foreign.astype(f"<{dtype}")
    as_they_lie = foreign.view(f"<{dtype}")
    assert np.array_equal(foreign, native)
    seen[dtype] = [
        np.array_equal(echoed(kind, native), native),
        np.array_equal(echoed(kind, foreign), as_they_lie),
        np.array_equal(onnxruntime.OrtValue.ortvalue_from_numpy(foreign).numpy(), as_they_lie),
    ]
    print(f">{dtype} {foreign}: {echoed(kind, foreign)}; <{dtype}: {echoed(kind, native)}")
sys.exit(seen != {"f4": [True] * 3, "i8": [True] * 3})
PYTHON
venv/bin/python see.py
