"""Training in parallel on Spark with checkpoints in a real HDFS: killed, resumed, told what went wrong."""

import importlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.digits import DIGITS, Programs

pytestmark = [pytest.mark.spark, pytest.mark.hdfs, pytest.mark.timeout(900)]

EPOCHS = 5
PREDICTS = """
import sys, numpy as np
sys.path.insert(0, "first")
from predict import predict_batch
made = np.load("mnist.npz")
answers = predict_batch([{"image": image.tolist()} for image in made["images"][:200]])
assert all(0 < answer["probability"] <= 1 for answer in answers)
print(sum(a["digit"] == label for a, label in zip(answers, made["labels"])))
"""


@pytest.fixture(scope="module")
def programs(hdfs_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """With partitions in HDFS, written by Spark itself."""
    programs = Programs.copied_to(tmp_path_factory.mktemp("digits"))
    code, written = programs.run("make_data.py", "mnist.npz", "--images", 4_000)
    assert code == 0, written
    location = ("--location", "/tests/digits", "--webhdfs", hdfs_endpoint)
    code, written = programs.run("process.py", "--images", "mnist.npz", *location, output="data")
    assert code == 0, written
    return programs


def train(programs: Programs, *arguments: object, output: str, **more: str) -> tuple[int, str]:
    data = ("--data", programs.folder / "data" / "result.json")
    return programs.run("train.py", *data, *arguments, output=output, **more)


def test_killed_in_the_middle_it_goes_on_from_the_last_checkpoint(programs: Programs) -> None:
    arguments = ("--data", programs.folder / "data" / "result.json", "--epochs", EPOCHS)
    process = programs.start("train.py", *arguments, output="killed")
    assert process.stdout is not None
    written = [next(process.stdout)]
    while f"epoch 2 of {EPOCHS}" not in written[-1]:
        written.append(next(process.stdout, "") or pytest.fail("".join(written)))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not list((programs.folder / "killed").glob("*.safetensors"))

    code, log = train(programs, "--epochs", EPOCHS, output="first")
    assert code == 0, log
    result = programs.left("result.json", "first")
    assert 2 <= result["resumed_from_epoch"] < EPOCHS
    assert [each["epoch"] for each in result["history"]] == list(range(1, EPOCHS + 1))
    told = programs.told("first")
    assert next(line["step"] for line in told if "step" in line) == result["resumed_from_epoch"] + 1
    assert any(line.get("heartbeat") for line in told)
    figures = programs.left("metrics.json", "first")
    assert figures["accuracy"] > 0.5
    assert set(figures["recall"]) == set("0123456789")
    assert programs.left("signature.json", "first")["inputs"]["image"]["type"] == "image"

    (programs.folder / "asks.py").write_text(PREDICTS)
    code, right = programs.run("asks.py")
    assert code == 0, right
    assert int(right) > 100


def test_it_goes_on_from_the_version_that_serves(programs: Programs) -> None:
    before = programs.left("metrics.json", "first")["accuracy"]
    parent = {"ENEL_PARENT_VERSION": str(programs.folder / "first")}
    little = ("--epochs", 1, "--learning-rate", 1e-6, "--processes", 1)
    code, log = train(programs, "--from-parent", *little, output="child", **parent)
    assert code == 0, log
    assert programs.left("metrics.json", "child")["accuracy"] == pytest.approx(before, abs=0.02)
    code, log = train(programs, "--from-parent", output="orphan")
    assert code != 0
    assert "no version serves yet" in log.splitlines()[-1]


def test_more_processes_than_slots_are_refused(programs: Programs) -> None:
    code, log = train(programs, "--processes", 3, output="many")
    assert code != 0
    assert "3 processes need 3 slots (executors × cores), and there are 2" in log.splitlines()[-1]


def test_what_a_process_died_of_is_the_last_line(programs: Programs) -> None:
    data = programs.left("result.json", "data")
    data["train"]["partitions"][1] += ".gone"
    broken = Path(programs.folder, "broken.json")
    broken.write_text(json.dumps(data))
    code, log = programs.run("train.py", "--data", broken, "--seed", 1, output="broken")
    assert code != 0
    assert "TrainingFailed: process 1: FileNotFoundError: " in log.splitlines()[-1]


@pytest.mark.long
def test_where_the_last_checkpoint_cannot_be_read_its_epoch_is_made_again(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DIGITS))
    program, model = importlib.import_module("train"), importlib.import_module("model")
    data = programs.folder / "data" / "result.json"
    arguments = ("--epochs", "2", "--seed", "3")
    work = program.plan(program.parse(["--data", str(data), *arguments]), json.loads(data.read_text()))
    history = [{"epoch": 1, "loss": 2.3, "training_accuracy": 0.1, "seconds": 1.0}]
    state = {"network": model.DigitNetwork().state_dict(), "optimizer": {}, "history": history}
    work.checkpoints.save(1, state)
    work.store.write(f"{work.checkpoints.folder}/epoch-00002.pt", b"cut off")

    code, log = train(programs, *arguments, output="damaged")
    assert code == 0, log
    result = programs.left("result.json", "damaged")
    assert result["resumed_from_epoch"] == 1
    assert [each["epoch"] for each in result["history"]] == [1, 2]
