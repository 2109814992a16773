"""Steps of pretraining in closed form are those that torch records."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.staged_application import make_runs
from tests.support.synthetic import make_history
from training.runtime_model.artifact import Hyperparameters, make_network
from training.runtime_model.loss import loss_of, weighted
from training.runtime_model.network import RuntimeModel
from training.runtime_model.prepared import Prepared, prepare
from training.runtime_model.pretraining.derivatives import Derivatives
from training.runtime_model.pretraining.samples import lay_out
from training.runtime_model.pretraining.trainee import SAMPLES_PER_STEP, Course, Trainee


class Given(nn.Module):
    """Dropout that was drawn before, one draw after the other."""

    def __init__(self, *draws: Tensor) -> None:
        super().__init__()
        self.draws = list(draws)

    def forward(self, state: Tensor) -> Tensor:
        return state * self.draws.pop(0).view_as(state)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(
    scope="module", params=["stages", "no-stages", "no-metrics", "one-job"], ids=lambda name: str(name)
)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    histories = {
        "stages": lambda: make_runs(5, jobs=6),
        "no-stages": lambda: make_history((2, 3, 4), stages=0),
        "no-metrics": lambda: make_history((2, 3, 4), stages=3, metrics=False),
        "one-job": lambda: make_history((4, 2, 4), jobs=1),
    }
    return prepare(histories[request.param]())


def moved(prepared: Prepared, hyperparameters: Hyperparameters) -> RuntimeModel:
    """A network whose output layers are not 0."""
    torch.manual_seed(3)
    network = make_network(prepared.evidence, hyperparameters)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return network


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_derivatives_are_those_that_torch_records(prepared: Prepared, dropout: float) -> None:
    network = moved(prepared, Hyperparameters(hidden_dim=16, dropout=dropout))
    chosen = torch.randperm(len(prepared.run_of))[:9]
    batch = prepared.batch.select(chosen)
    nodes, jobs = len(network.node_job) * len(chosen), len(network.drivers) * len(chosen)
    kept = [(torch.rand(rows, 16) >= dropout).float() / (1 - dropout) for rows in (nodes, nodes, nodes, jobs)]
    layout = copy.deepcopy(network)
    for name, draws in (("metrics", kept[:2]), ("runtime", kept[2:3]), ("overhead", kept[3:])):
        getattr(network, name)[2] = Given(*draws)
    prediction = network(batch)
    loss_of(network, batch, prediction).backward()  # type: ignore[no-untyped-call]

    weights = {name: value.detach() for name, value in layout.named_parameters()}
    gradients = {name: torch.zeros_like(value) for name, value in weights.items()}
    with torch.no_grad():
        samples, contexts = lay_out(layout, prepared.batch)
        samples = samples.select(chosen)
        samples = samples._replace(targets=weighted(samples.targets))
        derivatives = Derivatives(layout, contexts)
        done = derivatives.forward(weights, samples, kept)
        derivatives.backward(weights, samples, done, gradients)
    torch.testing.assert_close(done.job_runtime.T, prediction.job_runtime, rtol=1e-4, atol=1e-4)
    for name, value in network.named_parameters():
        assert value.grad is not None
        scale = max(float(value.grad.abs().max()), 1e-6)
        torch.testing.assert_close(gradients[name] / scale, value.grad / scale, rtol=0, atol=1e-3, msg=name)
    assert gradients["runtime.0.weight"].abs().max() > 0


@pytest.mark.parametrize("gate", [1.0, 0.25])
def test_predictions_are_those_of_the_network(prepared: Prepared, gate: float) -> None:
    network = moved(prepared, Hyperparameters(hidden_dim=16)).eval().requires_grad_(False)
    network.gate.fill_(gate)
    samples, contexts = lay_out(network, prepared.batch)
    weights = dict(network.named_parameters())
    predicted = Derivatives(network, contexts).predict(weights, samples, gate)
    for one, other in zip(predicted, network(prepared.batch), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_steps_are_those_of_adamw_on_the_network() -> None:
    """The same samples are drawn; noise and dropout are left out, as their draws cannot be repeated here."""
    prepared = prepare(make_runs(5, jobs=6))
    hyperparameters = Hyperparameters(hidden_dim=16, dropout=0.0, noise=0.0)
    course = Course(prepared, hyperparameters)
    samples = torch.arange(len(prepared.run_of))
    assert len(samples) > SAMPLES_PER_STEP
    trainee = Trainee(course, samples.numpy(), seed=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = make_network(prepared.evidence, hyperparameters)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    drawn = torch.Generator().manual_seed(4)
    for _ in range(3):
        trainee.step()
        batch = prepared.batch.select(
            samples[torch.randperm(len(samples), generator=drawn)[:SAMPLES_PER_STEP]]
        )
        optimizer.zero_grad()
        loss_of(network, batch, network(batch)).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    # Where a gradient is nearly 0, Adam's first steps are as long all the same, of either sign.
    apart = torch.cat(
        [(trainee.weights[name] - value).detach().abs().ravel() for name, value in network.named_parameters()]
    )
    assert apart.quantile(0.99) < 0.02 * hyperparameters.learning_rate


def test_dropout_keeps_what_it_should_and_its_mean() -> None:
    prepared = prepare(make_history((2, 3, 4)))
    trainee = Trainee(Course(prepared, Hyperparameters(dropout=0.25)), prepared.run_of, seed=1)
    kept = trainee._kept(2000)
    assert kept is not None
    assert kept.shape == (2000, 32)
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.02)


def test_a_tail_that_was_not_measured_is_no_error() -> None:
    """Of runs whose end was not recorded nobody knows what came after the last job."""
    unknown = {1, 3}
    runs = [
        replace(run, runtime_seconds=None if row in unknown else run.jobs[-1].end_seconds + 60.0)
        for row, run in enumerate(make_history((2, 3, 4, 6, 4)))
    ]
    prepared = prepare(runs)
    without = prepare([replace(run, runtime_seconds=None) for run in runs])
    theirs = np.isin(prepared.run_of, list(unknown))
    assert prepared.law_errors[theirs] == pytest.approx(without.law_errors[theirs], abs=0.05)
    assert np.abs(prepared.law_errors).max() < 1.0
