"""From scans to partitions: what is made, that nothing leaks, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.support.digits import Programs

IMAGES = 4_000


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """With `mnist.npz` made, and processed into partitions of about 500."""
    programs = Programs.copied_to(tmp_path_factory.mktemp("digits"))
    code, written = programs.run("make_data.py", "mnist.npz", "--images", IMAGES)
    assert code == 0, written
    return programs


@pytest.fixture(scope="module")
def result(programs: Programs) -> Any:
    arguments = ("--images", "mnist.npz", "--location", programs.folder / "store")
    code, written = programs.run("process.py", *arguments, "--images-per-partition", 500)
    assert code == 0, written
    return programs.left("result.json")


def read(paths: list[str], store: str) -> list[bytes]:
    return [image for path in paths for image in parquet.read_table(Path(store, path))["image"].to_pylist()]


def test_the_same_seed_makes_the_same_images(programs: Programs) -> None:
    code, written = programs.run("make_data.py", "again.npz", "--images", IMAGES)
    assert code == 0, written
    first, again = (np.load(programs.folder / name) for name in ("mnist.npz", "again.npz"))
    assert first["images"].shape == (IMAGES, 16, 16)
    assert first["images"].dtype == np.uint8
    assert all(np.array_equal(first[name], again[name]) for name in first.files)
    (programs.folder / "again.npz").unlink()


@pytest.mark.spark
def test_no_scan_is_learned_from_and_tested_with(programs: Programs, result: Any) -> None:
    made = np.load(programs.folder / "mnist.npz")
    originals: dict[bytes, set[int]] = {}
    for image, original in zip(made["images"], made["originals"], strict=True):
        originals.setdefault(image.tobytes(), set()).add(int(original))
    train, test = (read(result[name]["partitions"], result["location"]) for name in ("train", "test"))
    assert sorted(train + test) == sorted(image.tobytes() for image in made["images"])
    assert not {o for image in train for o in originals[image]} & {o for i in test for o in originals[i]}
    assert 0.15 < len(test) / IMAGES < 0.25


@pytest.mark.spark
def test_partitions_are_of_one_size_and_described(programs: Programs, result: Any) -> None:
    sizes = [len(read([path], result["location"])) for path in result["train"]["partitions"]]
    assert len(sizes) == round(result["train"]["images"] / 500)
    assert max(sizes) - min(sizes) <= 1
    assert sum(result["train"]["of_each_digit"]) == sum(sizes)
    assert min(result["test"]["of_each_digit"]) > 0
    assert programs.told()[-1]["progress"] == 1.0


CASES = """
import io, sys, numpy as np, process
def told(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        process.read_images(content.getvalue(), 0)
    except process.WrongData as error:
        return str(error)
    return "taken"
images, labels = np.full((20, 8, 8), 255), np.arange(20) % 10
print(told(images=images, labels=labels))
print(told(x=images / 255, y=labels))
print(told(x_train=images, y_train=labels, x_test=images, y_test=labels))
print(told(images=images))
print(told(images=images, labels=labels + 1))
print(told(images=images * np.nan, labels=labels))
print(told(images=images, labels=labels[:-1]))
print(told(images=images, labels=np.array([object()] * 20)))
try:
    process.read_images(b"PK nothing", 0)
except process.WrongData as error:
    print(error)
"""


def test_what_is_no_data_is_told_clearly(programs: Programs) -> None:
    (programs.folder / "cases.py").write_text(CASES)
    code, written = programs.run("cases.py")
    assert code == 0, written
    *taken, missing, labels, numbers, lengths, pickled, none = written.splitlines()
    assert taken == ["taken"] * 3
    assert missing == "it has no labels or y, but images"
    assert "digits from 0 to 9" in labels
    assert "pixels are from 0 to 255" in numbers
    assert "do not fit" in lengths
    assert "no .npz of plain arrays" in pickled
    assert "no .npz of plain arrays" in none


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        ("process.py", ["--location", "s3://a/b"], "write hdfs://…, or a folder"),
        ("process.py", ["--location", "hdfs://a:8020/b"], "also give --webhdfs"),
        ("process.py", ["--location", "b", "--webhdfs", "http://a:9870"], "an absolute path of a folder"),
        ("process.py", ["--location", "/b", "--webhdfs", "a:9870"], "such as http://namenode:9870"),
        ("train.py", ["--processes", "0"], "--processes: from 1"),
        ("train.py", ["--epochs", "0"], "--epochs is at least 1"),
        ("train.py", [], "process.py leaves such a file"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(
    programs: Programs, program: str, arguments: list[str], told: str
) -> None:
    images = ["--images", "mnist.npz"] if program == "process.py" else []
    code, written = programs.run(program, *images, *arguments)
    assert code == 2
    assert told in written.splitlines()[-1]
