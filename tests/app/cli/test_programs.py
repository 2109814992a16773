"""Programs and pipelines on the command line."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import Enel
from tests.support.samples import unique_name


@pytest.fixture
def workspace() -> str:
    return unique_name("cli").replace("_", "-").lower()


PIPELINE = """
parameters: {a: 1}
steps: {training: {file: train.py, arguments: [{parameter: a}]}}
"""


def test_a_program_is_run_listed_and_cancelled(enel: Enel, workspace: str, tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "train.py").write_text("import time; time.sleep(600)")
    (folder / "pipeline.yaml").write_text(PIPELINE)
    assert enel("workspaces", "push", workspace, folder).code == 0
    options = ("--gate", "accuracy:higher", "--json", "--", "--epochs", "3")
    started = enel("programs", "run", workspace, "train.py", *options)
    assert started.code == 0, started.err
    run = json.loads(started.out)
    assert run["arguments"] == ["--epochs", "3"]
    assert run["program"]["gate"] == {"metric": "accuracy", "better": "higher"}
    assert run["id"] in enel("programs", "list", workspace, "--json").out
    assert "train.py" in enel("programs", "list", workspace).out
    assert workspace in enel("programs", "show", run["id"]).out
    cancelled = enel("programs", "cancel", run["id"], "--json")
    assert json.loads(cancelled.out)["state"] == "KILLED"
    nothing = enel("programs", "result", run["id"])
    assert (nothing.code, "neither result.json nor metrics.json" in nothing.err) == (1, True)

    pipeline = json.loads(enel("pipelines", "run", workspace, "-p", "a=2", "--json").out)
    assert pipeline["steps"][0]["name"] == "training"
    assert pipeline["id"] in enel("pipelines", "list", workspace, "--json").out
    assert "training" in enel("pipelines", "show", pipeline["id"]).out
    ended = json.loads(enel("pipelines", "cancel", pipeline["id"], "--json").out)
    assert (ended["state"], ended["steps"][0]["state"]) == ("CANCELLED", "CANCELLED")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["programs", "run", "x", "--gate", "accuracy"], "write METRIC:higher"),
        (["programs", "run", "x", "--executors", "many"], "write MIN:MAX"),
        (["pipelines", "run", "x", "-p", "a"], "write NAME=VALUE"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(enel: Enel, arguments: list[str], told: str) -> None:
    done = enel(*arguments)
    assert (done.code, told in done.err) == (2, True), done.err


def test_a_workspace_that_is_not_there_is_named(enel: Enel) -> None:
    done = enel("programs", "run", "nobody-s")
    assert (done.code, "nobody-s" in done.err) == (1, True), done.err
