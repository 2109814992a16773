#!/usr/bin/env bash
# torch_geometric 2.8.1: whoever imports one layer imports TorchDynamo, sympy and pandas: 126 MB beside torch's 193.
#
# `from torch_geometric.nn import GATv2Conv` runs the package's `__init__`, which imports `isinstance.py`, that imports
# `torch._dynamo` to ask whether something is an `OptimizedModule`, and its datasets with `torch_geometric.llm`, which
# import pandas where it is installed. Nothing of it is used by the layer. In a worker of few megabytes of its own
# that is a third of its memory, and two seconds of its start.
#
# Needs bash, Python 3.11 and Linux; torch from PyPI may bring CUDA along (5 GB): PIP_EXTRA_INDEX_URL with PyTorch's
# index of CPU wheels, and torch 2.13.0+cpu, avoid that. Last seen: 2026-11-29.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 torch-geometric==2.8.1 pandas numpy psutil

cat >imports.py <<'PYTHON'
import os
import sys
import time

import psutil


def taken(statement):
    begun, before = time.process_time(), psutil.Process().memory_info().rss
    exec(statement, {})
    megabytes = (psutil.Process().memory_info().rss - before) / 2**20
    print(f"{statement}: {megabytes:.0f} MB, {time.process_time() - begun:.1f} s of CPU")
    return megabytes


taken("import numpy")
torch = taken("import torch")
unused = ("torch._dynamo", "sympy", "pandas")
assert not any(name in sys.modules for name in unused), "torch alone imports none of them"
layer = taken("from torch_geometric.nn import GATv2Conv")
print("imported along:", *(name for name in unused if name in sys.modules))
sys.exit(not (all(name in sys.modules for name in unused) and layer > 0.5 * torch))
PYTHON

venv/bin/python imports.py
