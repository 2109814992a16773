#!/usr/bin/env bash
# torch_geometric 2.8.1 changes features whose name has "batch" in it when graphs are put together: to those of each
# graph the largest ones of all graphs before it are added, plus one, also to seconds and shares.
#
# `Batch.from_data_list`, and so every DataLoader, takes such tensors for indices, as its guide says of names with
# "index". `micro_batches` of 3, 5 and 2 come out as 3, 9 and 12, and 1.5 and 9.9 `batch_seconds` of a second graph as
# 11.5 and 19.9; under another name they stay. `to_data_list` takes the additions back, so that a test of the way
# there and back sees nothing.
#
# Needs bash and Python 3.11; torch from PyPI may bring CUDA along (5 GB): PIP_EXTRA_INDEX_URL with PyTorch's index of
# CPU wheels, and torch 2.13.0+cpu, avoid that. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 torch-geometric==2.8.1 numpy

cat >collate.py <<'PYTHON'
import sys

import torch
from torch_geometric.data import Batch, Data


def together(name, values):
    graphs = [Data(x=torch.zeros(2, 1), **{name: torch.tensor(each)}) for each in values]
    batch = Batch.from_data_list(graphs)
    told = [round(each, 3) for each in batch[name].tolist()]
    back = [[round(each, 3) for each in graph[name].tolist()] for graph in batch.to_data_list()]
    print(f"{name}: {values} -> {told} -> {back}")
    return told, back == values


seen = [
    together("micro_steps", [[3], [5], [2]]),
    together("micro_batches", [[3], [5], [2]]),
    together("batch_seconds", [[1.5, 9.9], [1.5, 9.9]]),
]
sys.exit(seen != [([3, 5, 2], True), ([3, 9, 12], True), ([1.5, 9.9, 11.5, 19.9], True)])
PYTHON

venv/bin/python collate.py
