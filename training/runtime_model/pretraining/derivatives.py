"""The loss of all weights of a network, and its derivatives in closed form.

The same mathematics as `training.runtime_model.network` and `training.runtime_model.loss`, whose recorded
derivatives tests compare with these. Recording a thousand operations on tensors of some 100 kB, and taking
them back one by one, takes three times as long. `training.runtime_model.closed_form` is for four samples and
the layers that fine-tuning moves, where numpy's lighter calls count more than torch's faster sums.

Axes: V vertices, N of them nodes, J jobs, S samples, H length of a state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.evidence.table import MIN_SECONDS
from training.runtime_model.loss import HUBER_DELTA, Targets
from training.runtime_model.message_passing import finish_backward, latest_finish
from training.runtime_model.network import (
    EMBEDDING,
    FEATURES,
    METRICS,
    OVERHEAD_LIMIT,
    Prediction,
    RuntimeModel,
)
from training.runtime_model.pretraining.layers import (
    Attention,
    Code,
    Head,
    Round,
    Weights,
    add_linear,
    linear,
    rows,
    silu_backward,
)
from training.runtime_model.pretraining.samples import Contexts, Samples

_HEARD = slice(FEATURES - 1, METRICS.stop)
"""What similar runs say themselves among a node's inputs: the deviation from the law, and metrics."""

HEADS = 4
"""Times that a pass drops out: metrics twice, runtime, overhead."""

Kept = Sequence[Tensor | None]


class Forward(NamedTuple):
    """All that derivatives need of a pass."""

    code: Code
    vertices: Tensor
    """(V, S, FEATURES + 5 + 1 + EMBEDDING)"""
    similar: Tensor
    """States of the same jobs in similar runs before SiLU, (J, S, H)."""
    similar_hidden: Tensor
    rounds: Sequence[Round]
    heads: Sequence[Head]
    """Metrics, metrics, runtime, overhead."""
    added: Sequence[Tensor]
    """tanh of what was added to metrics in the two rounds, (N, S, 5)."""
    metrics: Tensor
    """(N, S, 5)"""
    turned: Tensor
    """tanh of the correction, (N, S)."""
    correction: Tensor
    """(N, S)"""
    log_runtime: Tensor
    """(N, S)"""
    finish: Tensor
    """Seconds from each job's start to the end of each node, (N, S)."""
    steady: Tensor
    """Seconds of jobs without overhead, (J, S)."""
    learned: Tensor
    """tanh of what was learned of delays, (J, S)."""
    delay: Tensor
    """(J, S)"""
    job: Tensor
    """Seconds of jobs with overhead, before their least, (J, S)."""

    @property
    def job_runtime(self) -> Tensor:
        """Seconds of jobs, (J, S)."""
        return self.job.clamp_min(MIN_SECONDS)


class Derivatives:
    """Passes of networks over one graph, of the same size."""

    def __init__(self, network: RuntimeModel, contexts: Contexts) -> None:
        self._network, self._contexts = network, contexts
        self._attention = Attention(network)
        self._nodes, self._jobs = len(network.node_job), len(network.drivers)
        self._front = self._nodes + self._jobs
        self._limit = network.correction_limit

    def forward(
        self, weights: Weights, samples: Samples, kept: Kept = (None,) * HEADS, gate: float = 1.0
    ) -> Forward:
        """Predict.

        Args:
            kept: What dropout multiplies states by, in each of its places.
            gate: How far what the network says about runtimes counts.
        """
        network, nodes, front = self._network, self._nodes, self._front
        code = Code(weights, self._contexts.rows)
        vertices = self._vertices(samples, code.code)
        first = linear(weights, "node", vertices)
        kinds = weights["kind"]
        for kind, (begin, end) in enumerate(((0, nodes), (nodes, front), (front, len(first)))):
            first[begin:end].add_(kinds[kind])
        first, similar = first[:front], first[front:]
        similar_hidden = torch.nn.functional.silu(similar)
        said_similar = linear(weights, "attention.lin_l", similar_hidden)
        of_metrics = weights["node.weight"][:, METRICS].T
        rounds, heads, added = [self._attention.forward(weights, first, said_similar)], [], []
        told_bias = weights["attention.bias"]
        for dropout in kept[:2]:
            done = rounds[-1]
            heads.append(Head.of(weights, "metrics", done.hidden[:nodes], done.told + told_bias, dropout))
            added.append(heads[-1].output.tanh())
            moved = first.clone()
            change = (rows(samples.unknown * added[-1]) @ of_metrics).view(nodes, *first.shape[1:])
            moved[:nodes].add_(change)
            moved[nodes + 1 :].add_(network.by_job(change)[:-1])
            rounds.append(self._attention.forward(weights, moved, said_similar))
        done = rounds[-1]
        heads.append(Head.of(weights, "runtime", done.hidden[:nodes], done.told + told_bias, kept[2]))
        turned = heads[-1].output.squeeze(-1).tanh()
        correction = turned * (gate * self._limit)
        log_runtime = samples.log_runtime + correction
        finish = latest_finish(log_runtime.exp(), network.levels)
        steady = finish.index_select(0, network.drivers).clamp_min_(MIN_SECONDS)
        of_job = network.by_job(done.hidden[:nodes])
        heads.append(Head.of(weights, "overhead", of_job, samples.hints, kept[3]))
        learned = heads[-1].output.squeeze(-1).tanh()
        delay = samples.delay * torch.exp(gate * OVERHEAD_LIMIT * learned)
        job = steady + samples.gained * torch.minimum(delay, steady * samples.slower)
        metrics = torch.addcmul(samples.metrics, samples.unknown, added[-1])
        return Forward(
            code, vertices, similar, similar_hidden, rounds, heads, added, metrics, turned, correction,
            log_runtime, finish, steady, learned, delay, job,
        )  # fmt: skip

    def predict(self, weights: Weights, samples: Samples, gate: float) -> Prediction:
        """Predict, as the network does."""
        done = self.forward(weights, samples, gate=gate)
        return Prediction(
            done.job_runtime.T, done.log_runtime.T, done.metrics.transpose(0, 1), done.correction.T
        )

    def backward(self, weights: Weights, samples: Samples, done: Forward, gradients: Weights) -> None:
        """Add derivatives of the loss; that of a pass whose gate was 1."""
        nodes, front, network = self._nodes, self._front, self._network
        of_job, of_log_runtime, of_metrics = _of_loss(done, samples.targets)
        of_job = of_job * (done.job >= MIN_SECONDS)
        old = done.steady * samples.slower
        of_lasting = of_job * samples.gained
        ended = old < done.delay
        of_steady = of_job + torch.where(ended, of_lasting * samples.slower, 0.0)
        of_learned = of_lasting.masked_fill(ended, 0.0) * done.delay * OVERHEAD_LIMIT
        of_output = (of_learned * (1.0 - done.learned.square())).unsqueeze(-1)
        of_state, _ = done.heads[3].backward(weights, of_output, gradients)
        of_finish = torch.zeros_like(done.finish)
        reached = done.finish.index_select(0, network.drivers) >= MIN_SECONDS
        of_finish[network.drivers] = of_steady * reached
        of_runtime = finish_backward(done.finish, of_finish, network.levels)
        of_log_runtime = of_log_runtime + of_runtime * done.log_runtime.exp()
        of_turned = of_log_runtime * self._limit * (1.0 - done.turned.square())
        of_own, of_told = done.heads[2].backward(weights, of_turned.unsqueeze(-1), gradients)
        of_own.add_(self._of_mean(of_state))

        of_first = done.similar.new_zeros(len(done.vertices), *done.similar.shape[1:])
        of_said_similar = torch.zeros_like(done.similar)
        of_weight = gradients["node.weight"][:, METRICS]
        for number in (2, 1, 0):
            of_front, of_similar = self._attention.backward(
                weights, done.rounds[number], of_own, of_told, gradients
            )
            of_first[:front].add_(of_front)
            of_said_similar.add_(of_similar)
            if number == 0:
                break
            of_previous = torch.cat([of_front[nodes + 1 :], torch.zeros_like(of_front[:1])])
            of_moved = of_front[:nodes].add_(self._of_mean(of_previous))
            turned = done.added[number - 1]
            of_weight.addmm_(rows(of_moved).T, rows(samples.unknown * turned))
            of_added = (rows(of_moved) @ weights["node.weight"][:, METRICS]).view_as(turned)
            if number == 2:
                of_added.add_(of_metrics)
            of_output = of_added.mul_(samples.unknown).mul_(1.0 - turned.square())
            of_own, of_told = done.heads[number - 1].backward(weights, of_output, gradients)
        add_linear(gradients, "attention.lin_l", of_said_similar, done.similar_hidden)
        of_hidden = (rows(of_said_similar) @ weights["attention.lin_l.weight"]).view_as(done.similar)
        of_first[front:] = silu_backward(of_hidden, done.similar)
        add_linear(gradients, "node", of_first, done.vertices)
        of_kinds = torch.split(rows(of_first.sum(dim=1)), [nodes, self._jobs, self._jobs])
        gradients["kind"].add_(torch.stack([values.sum(dim=0) for values in of_kinds]))
        of_code = (rows(of_first) @ weights["node.weight"][:, -EMBEDDING:]).view(*of_first.shape[:2], -1)
        own, previous, same = torch.split(of_code, [nodes, self._jobs, self._jobs])
        of_jobs = same.clone()
        of_jobs[:-1].add_(previous[1:])
        own = own + self._of_mean(of_jobs)
        of_rows = torch.zeros_like(done.code.code).index_add_(0, samples.code_row.view(-1), rows(own))
        done.code.backward(self._contexts.share, of_rows, gradients)

    def _vertices(self, samples: Samples, code: Tensor) -> Tensor:
        """As `RuntimeModel.inputs` lays them out."""
        code = code.index_select(0, samples.code_row.view(-1)).view(*samples.code_row.shape, -1)
        own = torch.cat([samples.fixed, code], dim=-1)
        jobs = self._network.by_job(own)
        vertices = torch.cat([own, torch.zeros_like(jobs[:1]), jobs[:-1], jobs])
        vertices[self._front :, :, _HEARD] = samples.history
        return vertices

    def _of_mean(self, of_mean: Tensor) -> Tensor:
        """Derivatives by nodes of means over those of each job."""
        network = self._network
        return (of_mean * network.job_share).index_select(0, network.node_job)


def _of_loss(done: Forward, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of `loss.prediction_loss` by runtimes of jobs, log runtimes of nodes, and metrics."""
    job = done.job_runtime
    seconds = (job * targets.job_measured).sum(dim=0, keepdim=True)
    of_seconds = 2.0 * _of_huber(
        seconds.clamp_min(1e-3).log(), targets.log_remaining, targets.remaining_weight
    )
    of_seconds = of_seconds * (seconds >= 1e-3) / seconds.clamp_min(1e-3)
    of_job = _of_huber(job.log(), targets.log_job, targets.job_weight) / job
    of_job = torch.addcmul(of_job, of_seconds, targets.job_measured)
    of_node = _of_huber(done.log_runtime, targets.log_node, targets.node_weight).mul_(0.3)
    of_node.add_(done.correction, alpha=1.0 / done.correction.numel())
    return of_job, of_node, (done.metrics - targets.metrics).mul_(targets.metrics_weight)


def _of_huber(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return (predicted - target).clamp_(-HUBER_DELTA, HUBER_DELTA).mul_(weight)
