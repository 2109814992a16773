import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.synthetic import CONTEXT, first_jobs, make_history, make_run
from training.evidence.table import EmptyHistory, collect
from training.history.values import RunRecord
from training.runtime_model.artifact import ArtifactInvalid, Hyperparameters, TrainedModel, make_network
from training.runtime_model.fine_tuning import fine_tune
from training.runtime_model.loop import LAWS, UNVALIDATED_LOG_ERROR_STD, PretrainingSession, pretrain
from training.runtime_model.loss import Evaluation, loss_of
from training.runtime_model.prepared import prepare
from training.statistics.arrays import Bools
from training.statistics.predictive_std import PREDICTIVE_STD_FLOOR

SMALL = Hyperparameters(hidden_dim=16)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """Small tensors on many threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return pretrain(make_history(), SMALL, max_epochs=15)


@pytest.fixture(scope="module")
def files(model: TrainedModel) -> dict[str, bytes]:
    return model.to_files()


def test_training_is_deterministic_for_a_seed() -> None:
    one, same = (pretrain(make_history((2, 4, 6)), SMALL, max_epochs=4, seed=3) for _ in range(2))
    other = pretrain(make_history((2, 4, 6)), SMALL, max_epochs=4, seed=4)
    assert one.to_files() == same.to_files()
    assert one.to_files() != other.to_files()


def test_training_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pretrain(make_history((2, 4)), SMALL, max_epochs=2)
    assert torch.equal(torch.rand(3), expected)


def test_steps_reduce_the_training_loss() -> None:
    prepared = prepare(make_history(noise=0.15))
    session = PretrainingSession(prepared, replace(SMALL, dropout=0.0, noise=0.0))
    trainee, _ = session._folds[0]
    batch = prepared.batch.select(trainee.samples)
    network = make_network(prepared.evidence, session.hyperparameters).eval()

    def loss() -> float:
        with torch.no_grad():
            network.load_state_dict({**network.state_dict(), **trainee.weights})
            return float(loss_of(network, batch, network(batch)))

    before = loss()
    for _ in range(40):
        session.step()
    assert loss() < 0.8 * before
    assert session.best_epochs >= 1


def diverging(session: PretrainingSession, scores: Iterator[float]) -> None:
    """Let validations come to these scores."""
    evaluate = session._evaluate

    def evaluated(weights: Sequence[Tensor], gate: float = 1.0, among: Bools | None = None) -> Evaluation:
        return evaluate(weights, gate, among)._replace(score=next(scores))

    session._evaluate = evaluated  # type: ignore[method-assign]


def test_a_validation_that_is_no_number_is_worse_than_any_other() -> None:
    session = PretrainingSession(make_history((2, 4, 6)), SMALL, max_epochs=30)
    diverging(session, iter([math.nan, 0.5, math.nan]))
    scores = [session.step() for _ in range(30)]
    assert (scores[9], scores[19], scores[29]) == (math.inf, 0.5, math.inf)
    assert (session.best_loss, session.best_epochs) == (0.5, 20)


def test_a_network_that_has_diverged_serves_nowhere_and_is_told_in_numbers() -> None:
    session = PretrainingSession(make_history((2, 4, 6)), SMALL, max_epochs=20)
    diverging(session, repeat(math.nan))
    while not session.finished:
        session.step()
    assert session.best_loss == math.inf
    validation = session.finish().validation
    assert validation["serves"] == LAWS
    assert validation["score"] == session._law.score
    json.dumps(validation, allow_nan=False)


def test_epochs_are_chosen_by_some_cuts_of_each_run_where_there_are_many_and_judged_by_all() -> None:
    few = PretrainingSession(make_history((2, 4, 6)), SMALL)
    assert few._some.all()
    many = PretrainingSession(make_history((2, 3, 4, 6) * 8, jobs=14), SMALL, max_epochs=10)
    run_of = many.prepared.run_of
    assert len(run_of) == 32 * 12
    assert np.bincount(run_of[many._some]).tolist() == [3] * 32  # every fourth of twelve
    assert set(many.prepared.cut_of[many._some]) == set(many.prepared.cut_of)
    many.step()
    assert many.finish().validation["samples"] == len(run_of)


def test_validation_figures_come_from_held_out_runs(model: TrainedModel) -> None:
    validation = model.validation
    assert validation["method"] == "three_folds"
    assert validation["runs"] == 5
    assert 0 < validation["remaining_error"] < 0.1
    assert model.log_error_std >= PREDICTIVE_STD_FLOOR
    assert len(prepare(make_history()).run_of) == validation["samples"]


def test_a_single_run_trains_and_says_that_nothing_was_validated() -> None:
    model = pretrain(make_history((4,)), SMALL)
    assert model.validation["method"] == "training_fit"
    assert model.validation["epochs"] == 0
    assert model.log_error_std >= UNVALIDATED_LOG_ERROR_STD


@pytest.mark.parametrize(
    "history",
    [
        make_history((4, 2)),
        make_history((4, 4, 4), jobs=1),
        make_history((2, 3, 4), job_ids=(0, 2, 3, 9)),
        make_history((2, 3, 4), stages=0),
        make_history((2, 3, 4), stages=3, metrics=False),
        [*make_history((2, 3)), make_run(8, 4, jobs=3), make_run(9, 6, jobs=14, skip=(1, 5))],
        [RunRecord("empty", CONTEXT, 0.0), *make_history((2, 3))],
    ],
    ids=["two", "one-job", "gaps", "no-stages", "no-metrics", "lengths", "empty-run"],
)
def test_odd_histories_train(history: list[RunRecord]) -> None:
    model = pretrain(history, SMALL, max_epochs=2)
    assert np.isfinite(model.log_error_std)
    assert all(torch.isfinite(value).all() for value in model.weights.values())
    TrainedModel.from_files(model.to_files())


def test_empty_history_is_refused() -> None:
    with pytest.raises(EmptyHistory):
        pretrain([], SMALL)


def test_reports_every_epoch() -> None:
    seen: list[tuple[int, float]] = []
    pretrain(make_history((2, 4)), SMALL, max_epochs=3, report=lambda epoch, loss: seen.append((epoch, loss)))
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert np.isfinite([loss for _, loss in seen]).all()


def test_files_round_trip(model: TrainedModel, files: dict[str, bytes]) -> None:
    read = TrainedModel.from_files(files)
    assert read.to_files() == files
    batch = prepare(make_history()).batch
    with torch.no_grad():
        assert torch.equal(read.network(batch).job_runtime, model.network(batch).job_runtime)
    description = json.loads(files["model.json"])
    assert description["schema_version"] == 1
    assert description["kind"] == "onlinepredictor"
    assert {"config", "hyperparameters", "profile", "validation"} <= description.keys()


def edited(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    description = json.loads(files["model.json"]) | changes
    return files | {"model.json": json.dumps(description).encode()}


def test_damaged_or_foreign_files_are_refused(model: TrainedModel, files: dict[str, bytes]) -> None:
    weights = files["weights.safetensors"]
    name = "runtime.0.weight"
    broken = replace(
        model, weights=dict(model.weights) | {name: torch.full_like(model.weights[name], torch.nan)}
    )
    reshaped = replace(model, weights=dict(model.weights) | {name: torch.zeros(3, 3)})
    fewer = replace(model, weights={key: value for key, value in model.weights.items() if key != name})
    structure = json.loads(files["model.json"])["profile"]
    structure["structure"]["edges"][1][0] = 10_000
    bad = {
        "no weights": {"model.json": files["model.json"]},
        "no description": {"weights.safetensors": weights},
        "nothing": {},
        "truncated weights": files | {"weights.safetensors": weights[: len(weights) // 2]},
        "empty weights": files | {"weights.safetensors": b""},
        "truncated description": files | {"model.json": files["model.json"][:-20]},
        "no object": files | {"model.json": b"[1, 2]"},
        "not UTF-8": files | {"model.json": b"\xff\xfe\x00"},
        "schema": edited(files, schema_version=2),
        "kind": edited(files, kind="other"),
        "config": edited(files, config={"features": 3}),
        "hyperparameters": edited(files, hyperparameters={"hidden_dim": 64}),
        "impossible": edited(files, hyperparameters={"hidden_dim": 7}),
        "validation": edited(files, validation={}),
        "profile": edited(files, profile={}),
        "edges": edited(files, profile=structure),
        "not finite": broken.to_files(),
        "shape": reshaped.to_files(),
        "missing": fewer.to_files(),
    }
    for what, damaged in bad.items():
        with pytest.raises(ArtifactInvalid) as caught:
            TrainedModel.from_files(damaged)
        assert str(caught.value), what


def test_every_truncation_of_the_weights_is_refused(files: dict[str, bytes]) -> None:
    weights = files["weights.safetensors"]
    for length in (0, 1, 7, 8, 100, len(weights) - 1):
        with pytest.raises(ArtifactInvalid):
            TrainedModel.from_files(files | {"weights.safetensors": weights[:length]})


def test_fine_tuning_never_changes_the_pretrained_network(model: TrainedModel) -> None:
    model = replace(model, weights={**model.weights, "gate": torch.ones(())})
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    run = collect([first_jobs(make_run(50, 3, factor=1.4), 6)], model.evidence.graph)
    network, steps = fine_tune(model, run)
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert steps > 0
    assert network is not model.network
    tuned = network.state_dict()
    frozen = [name for name in tuned if name.startswith(("context.", "attention."))]
    assert frozen
    assert all(torch.equal(tuned[name], before[name]) for name in frozen)
    assert any(not torch.equal(tuned[name], before[name]) for name in tuned)


def test_where_laws_serve_nothing_is_fine_tuned(model: TrainedModel) -> None:
    model = replace(model, weights={**model.weights, "gate": torch.zeros(())})
    run = collect([first_jobs(make_run(50, 3, factor=1.4), 6)], model.evidence.graph)
    assert not model.network_serves
    assert fine_tune(model, run) == (model.network, 0)


def test_too_few_jobs_to_fine_tune_on(model: TrainedModel) -> None:
    run = collect([first_jobs(make_run(50, 3), 1)], model.evidence.graph)
    assert fine_tune(model, run) == (model.network, 0)


@pytest.mark.parametrize("values", [{"dropout": 1.0}, {"hidden_dim": 9}, {"learning_rate": float("nan")}])
def test_impossible_hyperparameters(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"hidden_dim|hyperparameters"):
        Hyperparameters(**values)  # type: ignore[arg-type]
