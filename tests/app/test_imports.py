"""What a process loads stays in its memory, and its start waits for it: only what it uses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_NOT_OF_ALL = {
    "PIL",
    "aiohttp",
    "aiokafka",
    "faststream",
    "hdfs",
    "kubernetes",
    "matplotlib",
    "onnxruntime",
    "pandas",
    "ray",
    "requests",
    "scipy",
    "sklearn",
    "torch",
    "torch_geometric",
}


@pytest.mark.parametrize("module", ["app.server", "prediction.serving.worker_process"])
def test_what_only_some_services_use_is_loaded_where_it_is_used(module: str) -> None:
    script = (
        f"import json, sys, {module}; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not _NOT_OF_ALL & set(json.loads(done.stdout))
