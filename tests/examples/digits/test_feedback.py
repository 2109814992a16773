"""What people have said of predictions becomes images to learn from."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.digits import DIGITS


@pytest.fixture
def feedback(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DIGITS))
    return importlib.import_module("feedback")


def test_words_with_images_are_learned_from(feedback: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    Image.new("RGB", (16, 16), (200, 200, 200)).save(tmp_path / "files" / "a.png")
    rows = [[7] * 16] * 16
    lines = [
        {"prediction_id": "1", "right_label": "3", "inputs": {}, "files": {"image": "files/a.png"}},
        {"prediction_id": "2", "right_label": "4", "inputs": {"image": rows}, "files": {}},
        {"prediction_id": "3", "right_label": None, "inputs": {"image": rows}, "files": {}},
        {"prediction_id": "4", "right_label": "cat", "inputs": {"image": rows}, "files": {}},
        {"prediction_id": "5", "right_label": "5", "inputs": {"image": [[1]]}, "files": {}},
        {"prediction_id": "6", "right_label": "5", "inputs": {}, "files": {"image": "files/gone.png"}},
    ]
    (tmp_path / "feedback.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    said = feedback.read_feedback(tmp_path, (16, 16))
    assert said.labels.tolist() == [3, 4]
    assert np.unique(said.images[0]).tolist() == [200]
    assert said.images[1].tolist() == rows
    assert said.checksum() is not None


def test_where_nobody_has_said_anything_nothing_is_learned_from(feedback: Any, tmp_path: Path) -> None:
    said = feedback.read_feedback(tmp_path, (16, 16))
    assert said.images.shape == (0, 16, 16)
    assert said.checksum() is None
