"""What people have said of predictions becomes images to learn from."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prediction.inference.images.colours import plain, upright
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


def transparent() -> Image.Image:
    """A grey bar on nothing, whose colour would be white if it were seen."""
    pixels = np.full((16, 16, 4), 255, np.uint8)
    pixels[..., 3] = 0
    pixels[:, 6:9] = (180, 180, 180, 255)
    return Image.fromarray(pixels)


def lying() -> tuple[Image.Image, Image.Exif]:
    """Bright on the left as it lies, and on the right as its EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = 3
    return Image.fromarray(np.repeat(np.arange(240, 0, -15, np.uint8)[None], 16, axis=0)), exif


@pytest.mark.parametrize("kind", ["transparent", "upside down", "16 bits"])
def test_an_image_is_learned_as_the_service_has_shown_it_to_the_model(
    feedback: Any, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "files" / "a.png"
    path.parent.mkdir()
    if kind == "upside down":
        image, exif = lying()
        image.save(path, exif=exif)
    elif kind == "transparent":
        transparent().save(path)
    else:
        Image.fromarray(np.arange(0, 65_536, 256, np.uint16).reshape(16, 16)).save(path)
    line = {"prediction_id": "1", "right_label": "1", "inputs": {}, "files": {"image": "files/a.png"}}
    (tmp_path / "feedback.jsonl").write_text(f"{json.dumps(line)}\n")
    said = feedback.read_feedback(tmp_path, (16, 16))
    with Image.open(path) as sent:
        shown = np.asarray(plain(upright(sent), "L", (0, 0, 0)))
    assert np.unique(shown).size > 1
    assert said.images[0].tolist() == shown.tolist()
