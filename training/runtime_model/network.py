"""The runtime model: a graph network on top of the scale-out laws of `training.runtime_model.laws`.

A node's runtime at scale-out x is exp(law(x) + similar runs(x) + run factor + correction); only
the correction comes from `RuntimeModel`. It is bounded and starts at zero, so that with little
history the model is the law, and never far from it.

Axes: J jobs, N nodes, S samples (a run at a cut, or a candidate).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, MessagePassing

from training.evidence.graph import CONTEXT_BUCKETS, Graph
from training.evidence.table import MIN_SECONDS
from training.history.values import METRIC_NAMES

FEATURES = 22
"""Numbers per node besides context and metrics; `training.runtime_model.samples.encode` fills them."""

EMBEDDING = 8
"""Length of the compressed context."""

METRICS_LIMIT = 0.5
OVERHEAD_LIMIT = 0.7
"""Bounds of the learned part of metrics (log1p) and of the rescaling delay (log)."""


class Batch(NamedTuple):
    """Samples over one graph: everything known at the cut, and what was measured afterwards."""

    features: Tensor
    """(S, N, FEATURES)"""
    context: Tensor
    """Hashed names, (K, N, CONTEXT_BUCKETS) for K distinct contexts."""
    context_of: Tensor
    """Context of each sample, (S,)."""
    log_runtime: Tensor
    """Law, similar runs and run factor, (S, N)."""
    deviation: Tensor
    """Log deviation of the most similar runs from the law, (S, N)."""
    metrics: Tensor
    """Measured where known, otherwise expected from history and this run, (S, N, 5)."""
    similar_metrics: Tensor
    """Metrics of the most similar runs, log1p of the ratios, (S, N, 5)."""
    metrics_known: Tensor
    """(S, N), 0 or 1."""
    old_ratio: Tensor
    """Log of the job's runtime at the old over that at the wanted scale-out, (S, J)."""
    delay: Tensor
    """Seconds from a request to its effect, for jobs that a request precedes, otherwise 0; (S, J)."""
    carried: Tensor
    """Whether what is left of a delay reaches into the following jobs, (S,), 0 or 1."""
    lead: Tensor
    """Driver seconds before each job, (S, J)."""
    future: Tensor
    """Jobs after the cut, (S, J), 0 or 1."""
    target_node: Tensor
    """Measured log runtime, NaN where unknown, (S, N)."""
    target_job: Tensor
    """Measured log runtime, NaN where unknown, (S, J)."""
    target_metrics: Tensor
    """(S, N, 5), NaN where unknown."""

    def select(self, samples: Tensor) -> "Batch":
        """Batch of some samples only, by their indices; contexts stay as they are."""
        return self._replace(
            **{name: getattr(self, name)[samples] for name in self._fields if name != "context"}
        )


class Prediction(NamedTuple):
    """Runtimes and metrics that the network predicts for samples."""

    job_runtime: Tensor
    """Seconds, including overhead, (S, J)."""
    node_log_runtime: Tensor
    """Log seconds of each node by itself, (S, N)."""
    metrics: Tensor
    """log1p of the ratios, (S, N, 5)."""
    correction: Tensor
    """Log of the network's factor on the runtime, (S, N)."""


class CriticalPath(MessagePassing):  # type: ignore[misc]
    """Latest finish of the parents: one step of summing along edges with a maximum at joins."""

    def __init__(self) -> None:
        super().__init__(aggr="max", node_dim=-2)

    def forward(self, runtime: Tensor, edge_index: Tensor, depth: int) -> Tensor:
        """Accumulate runtimes along the graph.

        Args:
            runtime: Seconds, (..., N).
            edge_index: Parent to child, (2, E).
            depth: Edges on the longest path.
        Returns:
            Seconds from the start of the job to each node's end, (..., N).
        Source: Scheinert et al., Enel, arXiv:2108.12211, section IV.
        """
        own = runtime.unsqueeze(-1)
        finish = own
        for _ in range(depth):
            finish = own + self.propagate(edge_index, x=finish)
        return finish.squeeze(-1)


class ContextEncoder(nn.Module):
    """Auto-encoder that compresses hashed context; its code stays frozen in fine-tuning."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Linear(CONTEXT_BUCKETS, 32), nn.Tanh(), nn.Linear(32, EMBEDDING), nn.Tanh()
        )
        self.decode = nn.Sequential(nn.Linear(EMBEDDING, 32), nn.Tanh(), nn.Linear(32, CONTEXT_BUCKETS))


def _head(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two layers whose output starts at zero: untrained, the model is the law."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Dropout(dropout), last)


class RuntimeModel(nn.Module):
    """Graph network over the jobs of one application.

    Three parts as in Enel: a metrics network with attention over parents, a runtime network whose
    outputs are composed along the critical path, and an overhead network that contributes only
    where start and end scale-out differ. Two summary nodes feed the roots of every job: the run's
    previous job, and the same job in the runs most similar to *this* candidate. What the network
    says about runtimes counts as far as `gate`, which validation sets.
    """

    def __init__(self, graph: Graph, hidden_dim: int, dropout: float, correction_limit: float) -> None:
        super().__init__()
        self.correction_limit = correction_limit
        self.gate: Tensor
        self.register_buffer("gate", torch.ones(()))
        self.depth = graph.depth
        nodes, jobs = len(graph.names), len(graph.job_ids)
        node_job = torch.from_numpy(graph.node_job)
        roots = torch.from_numpy(graph.roots)
        previous, similar = nodes + node_job[roots], nodes + jobs + node_job[roots]
        edges = torch.from_numpy(graph.edges)
        feeding = torch.cat([torch.stack([previous, roots]), torch.stack([similar, roots])], dim=1)
        member = torch.zeros(jobs, nodes)
        member[node_job, torch.arange(nodes)] = 1.0
        self.edges: Tensor
        self.all_edges: Tensor
        self.member: Tensor
        self.drivers: Tensor
        for name, value in {
            "edges": edges,
            "all_edges": torch.cat([edges, feeding], dim=1),
            "member": member / member.sum(dim=1, keepdim=True),
            "drivers": torch.from_numpy(graph.drivers),
        }.items():
            self.register_buffer(name, value, persistent=False)
        width = FEATURES + len(METRIC_NAMES) + 1 + EMBEDDING
        self.context = ContextEncoder()
        self.node = nn.Linear(width, hidden_dim)
        self.kind = nn.Parameter(torch.zeros(3, hidden_dim))
        self.attention = GATv2Conv(hidden_dim, hidden_dim // 2, heads=2, add_self_loops=False)
        self.metrics = _head(2 * hidden_dim, hidden_dim, len(METRIC_NAMES), dropout)
        self.runtime = _head(2 * hidden_dim, hidden_dim, 1, dropout)
        self.overhead = _head(hidden_dim + 2, hidden_dim, 1, dropout)
        self.path = CriticalPath()

    def forward(self, batch: Batch) -> Prediction:
        """Predict every node and job of every sample in one pass."""
        code = self.context.encode(batch.context)[batch.context_of]
        unknown = 1.0 - batch.metrics_known.unsqueeze(-1)
        metrics = batch.metrics
        for _ in range(2):  # the second round sees predicted metrics of the previous job
            state = self._states(batch, metrics, code)
            metrics = batch.metrics + unknown * METRICS_LIMIT * torch.tanh(self.metrics(state))
        state = self._states(batch, metrics, code)
        correction = self.gate * self.correction_limit * torch.tanh(self.runtime(state)).squeeze(-1)
        log_runtime = batch.log_runtime + correction
        finish = self.path(log_runtime.exp(), self.edges, self.depth)
        job = finish[:, self.drivers].clamp_min(MIN_SECONDS)
        job = job + self._overhead(batch, job, state)
        return Prediction(job.clamp_min(MIN_SECONDS), log_runtime, metrics, correction)

    def _states(self, batch: Batch, metrics: Tensor, code: Tensor) -> Tensor:
        """Node states next to what their parents told them, (S, N, 2H)."""
        samples, nodes, _ = metrics.shape
        known = batch.metrics_known.unsqueeze(-1)
        own = torch.cat([batch.features, metrics, known, code], dim=-1)
        jobs = self.member @ own
        previous = torch.cat([torch.zeros_like(jobs[:, :1]), jobs[:, :-1]], dim=1)
        history = torch.cat([batch.deviation.unsqueeze(-1), batch.similar_metrics], dim=-1)
        history = self.member @ history
        split = FEATURES - 1  # the last feature is the deviation from the law
        similar = torch.cat([jobs[..., :split], history, jobs[..., FEATURES + len(METRIC_NAMES) :]], dim=-1)
        kinds = self.kind.unsqueeze(1)
        parts = (own, previous, similar)
        hidden = torch.cat(
            [nn.functional.silu(self.node(part) + kinds[i]) for i, part in enumerate(parts)], dim=1
        )
        total = hidden.shape[1]
        offset = torch.arange(samples).repeat_interleave(self.all_edges.shape[1]) * total
        edges = self.all_edges.repeat(1, samples) + offset
        heard = self.attention(hidden.reshape(samples * total, -1), edges).view(samples, total, -1)
        return torch.cat([hidden[:, :nodes], heard[:, :nodes]], dim=-1)

    def _overhead(self, batch: Batch, job: Tensor, state: Tensor) -> Tensor:
        """Seconds by which a job differs because the wanted scale-out is not in effect at once.

        For the delay the job proceeds as at the old scale-out; what is left of it when the job
        ends reaches into the next one, where the sample says so.
        """
        hidden = self.member @ state[..., : state.shape[-1] // 2]
        hints = torch.stack([batch.old_ratio, batch.delay.log1p()], dim=-1)
        learned = torch.tanh(self.overhead(torch.cat([hidden, hints], dim=-1))).squeeze(-1)
        delay = batch.delay * torch.exp(self.gate * OVERHEAD_LIMIT * learned)
        old = job * batch.old_ratio.clamp(-4.0, 4.0).exp()
        passed = ((old + batch.lead) * batch.future).cumsum(dim=1)
        begun = delay.sum(dim=1, keepdim=True)
        left = (begun - passed + old).clamp_min(0.0)
        delay = torch.where(batch.carried.unsqueeze(1) > 0, left, delay)
        return batch.future * torch.minimum(delay, old) * (1.0 - job / old)
