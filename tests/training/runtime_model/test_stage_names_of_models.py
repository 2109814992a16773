"""A model reads names of stages as it learned them, whatever has been done to names since."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.odd_histories import THREAD_POOL, make_odd_history, make_odd_run
from training.evidence.graph import hashed_context
from training.evidence.table import collect
from training.history.values import RunRecord
from training.runtime_model.artifact import ArtifactInvalid, Hyperparameters, TrainedModel
from training.runtime_model.loop import pretrain

FORMER = (
    Path(__file__).parents[2] / "fixtures/version_0_1/models/pretrained_models/spark/KMeans/onlinepredictor"
)


def described(files: dict[str, bytes], **config: object) -> dict[str, bytes]:
    """The files, with another description of what the network reads."""
    description = json.loads(files["model.json"])
    description["config"].update(config)
    return {**files, "model.json": json.dumps(description).encode()}


def test_five_equal_runs_match_stage_by_stage() -> None:
    history = [make_odd_run(number, 4) for number in range(5)]
    assert len({run.jobs[0].stages[0].name for run in history}) == 5
    table = collect(history)
    assert len(table.graph.job_ids) == len(history[0].jobs)
    assert np.isfinite(table.log_runtime).all()
    assert "count" not in table.graph.names
    assert {"parquet at app.py", "$anonfun$withThreadLocalCaptured at java"} < set(table.graph.names)


def test_a_model_says_how_names_are_encoded() -> None:
    files = pretrain(make_odd_history(0, None), Hyperparameters(), max_epochs=1).to_files()
    assert json.loads(files["model.json"])["config"]["stage_names"] == "lasting"
    TrainedModel.from_files(files)
    with pytest.raises(ArtifactInvalid, match="other inputs"):
        TrainedModel.from_files(described(files, stage_names="by another rule"))


def test_a_model_of_when_more_of_names_lasted_is_read() -> None:
    """Its names are what lasted then: less does now."""
    model = pretrain(make_odd_history(0, None), Hyperparameters(), max_epochs=1)
    cells = tuple(name.replace("app.py", "<ipython-input-5->") for name in model.evidence.graph.names)
    graph = replace(model.evidence.graph, names=cells)
    files = replace(model, evidence=replace(model.evidence, graph=graph)).to_files()
    read = TrainedModel.from_files(described(files, stage_names="lasting"))
    assert read.evidence.graph.names == cells
    found = {name for job in read.evidence.graph.signatures for name in job.names}
    assert "parquet at <ipython-input>" in found


def test_a_model_of_before_reads_the_names_that_it_learned() -> None:
    [folder] = FORMER.iterdir()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "stage_names" not in json.loads(files["model.json"])["config"]
    model = TrainedModel.from_files(files)
    assert "map at Clustering.scala:10" in model.evidence.graph.names
    assert "stage_names" not in json.loads(model.to_files()["model.json"])["config"]


def test_a_model_of_before_is_asked_about_runs_of_today() -> None:
    torch.set_num_threads(1)
    learned = make_odd_run(0, 4)
    model = pretrain([learned] * 3, Hyperparameters(), max_epochs=1)
    reported = tuple(name for job in learned.jobs for name in (*(stage.name for stage in job.stages), ""))
    graph = replace(model.evidence.graph, names=reported)
    files = replace(model, evidence=replace(model.evidence, graph=graph)).to_files()
    former = TrainedModel.from_files(files)
    assert THREAD_POOL in former.evidence.graph.names
    run = make_odd_run(9, 4)
    table = collect([RunRecord("", run.context, 0.0, run.jobs[:6])], former.evidence.graph)
    assert np.isfinite(table.log_runtime[0, graph.node_job < 6]).all()
    read = hashed_context(former.evidence.graph, run.context)
    assert np.array_equal(read, hashed_context(graph, run.context))
    assert not np.allclose(read, hashed_context(model.evidence.graph, run.context))
