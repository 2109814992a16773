"""Derivatives in closed form are those that torch records; the network is its plain formulation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.staged_application import make_runs
from tests.support.plain_network import plain_network
from training.evidence.table import Evidence, reduced
from training.runtime_model import fine_tuning
from training.runtime_model.artifact import Hyperparameters, TrainedModel
from training.runtime_model.closed_form import FineTuningLoss
from training.runtime_model.loop import NETWORK, PretrainingSession
from training.runtime_model.loss import prediction_loss, targets_of
from training.runtime_model.network import REACH_JOBS, TUNED, Batch, RuntimeModel
from training.runtime_model.samples import encode


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    torch.set_num_threads(1)
    session = PretrainingSession(make_runs(5, jobs=6), Hyperparameters(), max_epochs=10)
    while not session.finished:
        session.step()
    return session.finish(NETWORK)


def batch_of(model: TrainedModel, run: int) -> Batch:
    evidence = reduced(model.evidence, [run])
    cuts = np.array([-1, 1, 3])
    start, end = (np.broadcast_to(x[0], (3, 6)) for x in (evidence.start_scale_out, evidence.end_scale_out))
    return encode(model.prior, evidence, 0, cuts, start, np.where(np.arange(6) > 3, end + 3.0, end))


def moved(network: RuntimeModel) -> RuntimeModel:
    """A copy whose output layers are not nearly 0."""
    copied = network.copy_to_tune()
    torch.manual_seed(3)
    for name, value in copied.named_parameters():
        if name.startswith(TUNED):
            value.requires_grad_(True).data += 0.2 * torch.randn_like(value)
    return copied


def test_the_network_is_its_plain_formulation(model: TrainedModel) -> None:
    batch, network = batch_of(model, 2), moved(model.network)
    prediction = network(batch)
    seconds, metrics = plain_network(network, batch)
    assert (batch.delay > 0).any()
    torch.testing.assert_close(prediction.job_runtime, seconds, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(prediction.metrics, metrics, rtol=1e-5, atol=1e-5)


def test_where_laws_serve_the_rest_of_the_network_is_left_out(model: TrainedModel) -> None:
    batch, network = batch_of(model, 2), moved(model.network)
    network.gate = torch.zeros(())
    torch.testing.assert_close(network.job_runtime(batch), network(batch).job_runtime)


@pytest.mark.parametrize("first", [3, 4, 5])
def test_jobs_long_before_those_that_are_asked_about_do_not_matter(model: TrainedModel, first: int) -> None:
    batch, network, graph = batch_of(model, 2), moved(model.network), model.evidence.graph
    unknown = batch._replace(metrics_known=torch.zeros_like(batch.metrics_known))
    since = first - REACH_JOBS
    jobs = slice(since, len(graph.job_ids))
    behind = unknown.part(jobs, graph.nodes_of(jobs))
    found = network.over(graph.part(jobs)).job_runtime(behind)[:, REACH_JOBS:]
    torch.testing.assert_close(found, network.job_runtime(unknown)[:, first:])
    assert network.job_runtime(unknown).shape == (3, 6)


@pytest.mark.parametrize("run", [0, 2])
def test_loss_and_derivatives_are_those_that_torch_records(model: TrainedModel, run: int) -> None:
    batch, network = batch_of(model, run), moved(model.network)
    with torch.no_grad():
        inputs, targets = network.inputs(batch), targets_of(network, batch)
    loss = prediction_loss(network(batch, inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    moving = {name: value for name, value in network.named_parameters() if value.requires_grad}
    layers = {name: value.detach().numpy() for name, value in moving.items()}
    gradients = {name: np.zeros_like(value) for name, value in layers.items()}
    closed_form = FineTuningLoss(network, batch, inputs, targets)
    assert closed_form.with_gradients(layers, gradients) == pytest.approx(loss.item(), rel=1e-5)
    assert closed_form.value(layers) == pytest.approx(loss.item(), rel=1e-5)
    for name, value in moving.items():
        assert value.grad is not None
        assert value.grad.abs().max() > 0, name
        assert gradients[name] == pytest.approx(value.grad.numpy(), rel=1e-3, abs=1e-6), name


def test_fine_tuning_takes_the_steps_of_adam(model: TrainedModel) -> None:
    run = reduced(model.evidence, [1])
    run.log_job_runtime[0, 4:] = np.nan
    tuned, steps = fine_tuning.fine_tune(model, run)
    assert steps == fine_tuning.FINE_TUNING_STEPS
    network = model.network.copy_to_tune()
    batch = fine_tuning.samples_of(model, run)
    moving = [
        value.requires_grad_(True) for name, value in network.named_parameters() if name.startswith(TUNED)
    ]
    optimizer = torch.optim.AdamW(moving, lr=fine_tuning.FINE_TUNING_RATE, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        prediction_loss(network(batch), targets_of(network, batch)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for (name, one), other in zip(tuned.named_parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)
    assert all(not value.requires_grad for value in model.network.parameters())


def test_fine_tuning_looks_at_where_a_long_run_is(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is far ahead, and what is longer past than a network hears of, decides nothing."""
    run = reduced(model.evidence, [2])
    monkeypatch.setattr(fine_tuning, "FINE_TUNING_JOBS", 5)
    monkeypatch.setattr(fine_tuning, "_AHEAD", 1)
    begun, late = run_until(run, 2), run_until(run, 5)
    assert (fine_tuning.window(begun), fine_tuning.window(late)) == (slice(0, 5), slice(1, 6))
    batch = fine_tuning.samples_of(model, late)
    assert batch is not None
    assert batch.future[0].nonzero().min() == 1 + REACH_JOBS, "no cut is before what a window hears of"
    tuned, steps = fine_tuning.fine_tune(model, begun)
    assert steps == fine_tuning.FINE_TUNING_STEPS
    assert tuned.edges.shape == model.network.edges.shape, "what forecasts is over the whole graph"
    everything = fine_tuning.samples_of(model, begun)
    assert everything is not None
    changed = loss_over(tuned, everything)
    assert changed < loss_over(model.network, everything)


def run_until(run: Evidence, jobs: int) -> Evidence:
    """A run that has finished so many of its jobs."""
    seconds = run.log_job_runtime.copy()
    seconds[:, jobs:] = np.nan
    return replace(run, log_job_runtime=seconds)


def loss_over(network: RuntimeModel, batch: Batch) -> float:
    with torch.no_grad():
        return float(prediction_loss(network(batch), targets_of(network, batch)))
