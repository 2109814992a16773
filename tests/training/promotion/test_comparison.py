"""Comparisons in a real child process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from tests.support.left_processes import command_line, processes_of
from tests.support.synthetic import CONTEXT, make_history, make_run
from training.history.values import RunRecord, history_to_json
from training.kinds import ComparisonFailed
from training.promotion.comparison import Comparison, compare
from training.promotion.policy import Version, decide
from training.promotion.process import read_request
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import pretrain

PROJECT = Path(__file__).parents[3]
SMALL = Hyperparameters(hidden_dim=16)
SECONDS = 120.0
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def good() -> Files:
    torch.set_num_threads(1)
    return pretrain(make_history((2, 4, 6)), SMALL, max_epochs=4).to_files()


@pytest.fixture(scope="module")
def bad() -> Files:
    torch.set_num_threads(1)
    return pretrain(make_history((2, 4, 6), factor=5.0), SMALL, max_epochs=4).to_files()


@pytest.fixture
def held_out() -> list[RunRecord]:
    return [make_run(30, 3), make_run(31, 5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "comparison"


def of_another_schema(files: Files) -> Files:
    description = json.loads(files["model.json"]) | {"schema_version": 0}
    return files | {"model.json": json.dumps(description).encode()}


def children(folder: Path) -> list[psutil.Process]:
    """The guard and the comparison itself."""
    return [process for process in processes_of(folder) if str(folder) in command_line(process)]


async def started(folder: Path) -> psutil.Process:
    """The comparison's process, once it runs."""
    while True:
        for process in children(folder):
            if (line := command_line(process)) and "--grace" not in line:
                return process
        await asyncio.sleep(0.02)


async def test_the_better_version_wins(
    good: Files, bad: Files, held_out: list[RunRecord], folder: Path
) -> None:
    (folder / "champion").mkdir(parents=True)
    (folder / "champion" / "left-over").touch()
    result = await compare(bad, good, held_out, folder, timeout_seconds=SECONDS)
    assert (result.runs, result.cuts) == (2, 12)
    assert result.champion_reason is None
    assert result.champion_error is not None
    assert result.candidate_error is not None
    assert result.candidate_error < 0.1 < result.champion_error
    assert [run.run_id for run in result.per_run] == ["run-30", "run-31"]
    assert [run.cuts for run in result.per_run] == [6, 6]
    assert all(run.champion_error and run.champion_error > run.candidate_error for run in result.per_run)
    assert not folder.exists()
    assert children(folder) == []

    old, new = Version(frozenset({"a"})), Version(frozenset({"b"}))
    assert decide(old, new, result).promote


async def test_the_same_version_is_as_good_as_itself(
    good: Files, held_out: list[RunRecord], folder: Path
) -> None:
    result = await compare(good, good, held_out, folder, timeout_seconds=SECONDS)
    assert result.champion_error == result.candidate_error
    assert [run.champion_error for run in result.per_run] == [run.candidate_error for run in result.per_run]


@pytest.mark.parametrize("damage", ["older schema", "truncated", "nothing"])
async def test_a_champion_that_cannot_be_read_is_told(
    damage: str, good: Files, held_out: list[RunRecord], folder: Path
) -> None:
    champion, reason = {
        "older schema": (of_another_schema(good), "schema version 0"),
        "truncated": (good | {"weights.safetensors": good["weights.safetensors"][:100]}, "cannot be read"),
        "nothing": ({}, "has no model.json"),
    }[damage]
    result = await compare(champion, good, held_out[:1], folder, timeout_seconds=SECONDS)
    assert result.champion_error is None
    assert result.champion_reason is not None
    assert reason in result.champion_reason
    assert result.candidate_error is not None
    assert [run.champion_error for run in result.per_run] == [None]


async def test_without_runs_only_the_artifacts_are_read(good: Files, folder: Path) -> None:
    result = await compare(good, good, [], folder, timeout_seconds=SECONDS)
    assert result == Comparison(None, None, None, 0, 0)
    result = await compare(of_another_schema(good), good, [], folder, timeout_seconds=SECONDS)
    assert result.champion_reason is not None
    assert decide(Version(frozenset({"a"})), Version(frozenset({"b"})), result).promote


async def test_failures_are_told(good: Files, held_out: list[RunRecord], folder: Path) -> None:
    with pytest.raises(ComparisonFailed, match="the new version cannot be used: schema version 0"):
        await compare(good, of_another_schema(good), held_out, folder, timeout_seconds=SECONDS)
    assert not folder.exists()
    nothing = [RunRecord("empty", CONTEXT, 0.0)]
    with pytest.raises(ComparisonFailed, match="no run with a finished job"):
        await compare(good, good, nothing, folder, timeout_seconds=SECONDS)
    assert not folder.exists()


async def test_a_folder_that_cannot_be_written_is_told(good: Files, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ComparisonFailed, match="file"):
        await compare(good, good, [], tmp_path / "file" / "folder", timeout_seconds=SECONDS)


async def test_time_is_limited(good: Files, held_out: list[RunRecord], folder: Path) -> None:
    with pytest.raises(ComparisonFailed, match=r"within 0\.5 seconds"):
        await compare(good, good, held_out, folder, timeout_seconds=0.5)
    assert children(folder) == []
    assert not folder.exists()


async def test_a_killed_child_is_told(good: Files, held_out: list[RunRecord], folder: Path) -> None:
    comparing = asyncio.create_task(compare(good, good, held_out, folder, timeout_seconds=SECONDS))
    (await started(folder)).kill()
    with pytest.raises(ComparisonFailed, match="was killed from outside"):
        await comparing
    assert children(folder) == []
    assert not folder.exists()


@pytest.mark.parametrize("after_seconds", [0.0, 0.01, 1.0])
async def test_cancelling_leaves_nothing(
    good: Files, held_out: list[RunRecord], folder: Path, after_seconds: float
) -> None:
    comparing = asyncio.create_task(compare(good, good, held_out, folder, timeout_seconds=SECONDS))
    await asyncio.sleep(after_seconds)
    if after_seconds >= 1:
        await started(folder)
    comparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await comparing
    assert children(folder) == []
    assert not folder.exists()


async def test_the_child_gets_no_secrets(
    good: Files, held_out: list[RunRecord], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_PASSWORD", "secret")
    comparing = asyncio.create_task(compare(good, good, held_out, folder, timeout_seconds=SECONDS))
    environment = (await started(folder)).environ()
    comparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await comparing
    assert environment["PYTHONPATH"] == str(PROJECT)
    assert "MONGODB_PASSWORD" not in environment


def child(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "training.promotion.process", str(folder)]
    return subprocess.Popen(command, cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, text=True)


def write(folder: Path, files: Files, request: str) -> None:
    for name in ("champion", "candidate"):
        (folder / name).mkdir(parents=True)
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    (folder / "request.json").write_text(request)


def test_stdout_has_one_result_and_nothing_else(good: Files, held_out: list[RunRecord], folder: Path) -> None:
    write(folder, good, json.dumps({"history": history_to_json(held_out)}))
    process = child(folder)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    [line] = output.splitlines()
    result = json.loads(line)
    assert result["event"] == "result"
    assert result.keys() == {"event", *Comparison.__dataclass_fields__}


def test_terminating_ends_it(good: Files, held_out: list[RunRecord], folder: Path) -> None:
    write(folder, good, json.dumps({"history": history_to_json(held_out * 100)}))
    process = child(folder)
    while psutil.Process(process.pid).memory_info().rss < 150 << 20:  # torch is being loaded
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("request_text", ["{", "[]", "{}", '{"history": [{}]}', '{"history": 3}'])
def test_a_request_that_cannot_be_used(request_text: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(request_text)
    with pytest.raises(ValueError, match=r"request\.json"):
        read_request(tmp_path)


def test_a_bad_request_ends_with_one(folder: Path) -> None:
    write(folder, {}, "{")
    process = child(folder)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert json.loads(output)["event"] == "error"
