"""Served models on the command line."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import Enel
from tests.support.samples import unique_name


@pytest.fixture
def workspace(enel: Enel, tmp_path: Path) -> str:
    """With a folder that answers."""
    name = unique_name("served").replace("_", "-").lower()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "predict.py").write_text("def predict(inputs): return inputs")
    assert enel("workspaces", "push", name, tmp_path / "model").code == 0
    return name


def test_a_model_that_was_ended_is_served_as_it_was(enel: Enel, workspace: str) -> None:
    model = unique_name("m")
    published = enel("serving", "publish", workspace, model)
    assert (published.code, published.out) == (0, "")
    assert "version 1" in published.err
    started = json.loads(enel("serving", "start", model, "--replicas", 3, "--batch", 7, "--json").out)
    assert (started["options"]["replicas"], started["options"]["max_batch_rows"]) == (3, 7)
    assert "is served no more" in enel("serving", "stop", model).err
    again = json.loads(enel("serving", "start", model, "--batch", 8, "--json").out)
    assert (again["options"]["replicas"], again["options"]["max_batch_rows"]) == (3, 8)
    anew = json.loads(enel("serving", "start", model, "--json").out)
    assert anew["options"]["replicas"] == 1, "of one that is served, what is left out gets its default"


def test_what_programs_read_is_on_stdout(enel: Enel, workspace: str) -> None:
    model = unique_name("m")
    published = enel("serving", "publish", workspace, model, "--json")
    assert (json.loads(published.out)["version"], published.err) == (1, "")
    enel("serving", "start", model)
    stopped = enel("serving", "stop", model, "--json")
    assert (json.loads(stopped.out)["state"], stopped.err) == ("NOT_SERVED", "")
