#!/usr/bin/env bash
# safetensors 0.8.0 saves NumPy arrays that do not lie row by row with their numbers in other places: no error.
#
# A transposed array, one in Fortran's order, a column of a table, every second row: shape and type are right, and so
# are many numbers, but in the order in which they lie in memory. Of a view the numbers beside it are read, which were
# never in the array at all. scikit-learn's results are often such arrays (`PCA.components_`, `coef_` of a linear model
# with several outputs), and those of pandas' `DataFrame.to_numpy()`. `save_file` and `save` alike. With 0.7.0 all of
# them come back as they were, and `safetensors.torch` refuses what is not contiguous. It has been reported, and
# 0.8.0 is the newest release. What helps is `np.ascontiguousarray` around each array; shapes do not tell.
#
# Needs bash and Python 3.11. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6 pandas==3.1.1

cat >see.py <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import safetensors
from safetensors.numpy import load, load_file, save, save_file

table = np.arange(9.0).reshape(3, 3)
ARRAYS = {
    "by rows": table,
    "transposed": table.T,
    "Fortran's order": np.asfortranarray(table),
    "a column": table[:, 1],
    "every second row": table[::2],
    "pandas": pd.DataFrame(table).assign(more=1.0).iloc[:, :3].to_numpy(),
}
same = {}
for name, array in ARRAYS.items():
    save_file({"weights": array}, "file")
    found = [load_file("file")["weights"], load(save({"weights": array}))["weights"]]
    assert all(each.shape == array.shape and each.dtype == array.dtype for each in found)
    same[name] = [bool(np.array_equal(each, array)) for each in found]
    copy = load(save({"weights": np.ascontiguousarray(array)}))["weights"]
    assert np.array_equal(copy, array)
    print(f"{name}: {array.ravel().tolist()} -> {found[0].ravel().tolist()}")
print("safetensors", safetensors.__version__, same)
sys.exit(same != {name: [name == "by rows"] * 2 for name in ARRAYS})
PYTHON
venv/bin/python see.py
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.7.0
if venv/bin/python see.py >before.txt; then exit 1; fi
tail -n 1 before.txt
! grep -q False before.txt
