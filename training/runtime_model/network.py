"""The runtime model: a graph network on top of the scale-out laws of `training.runtime_model.laws`.

A node's runtime at scale-out x is exp(law(x) + similar runs(x) + run factor + correction); only
the correction comes from `RuntimeModel`. It is bounded and starts at zero, so that with little
history the model is the law, and never far from it.

Axes: J jobs, N nodes, S samples (a run at a cut, or a candidate).
"""

from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.evidence.graph import CONTEXT_BUCKETS, Graph
from training.evidence.table import MIN_SECONDS
from training.history.values import METRIC_NAMES
from training.runtime_model.message_passing import Attention, Level, latest_finish, levels_of

FEATURES = 22
"""Numbers per node besides context and metrics; `training.runtime_model.samples.encode` fills them."""

EMBEDDING = 8
"""Length of the compressed context."""

METRICS = slice(FEATURES, FEATURES + len(METRIC_NAMES))
"""Where a node's metrics are among its inputs."""

REACH_JOBS = 3
"""Jobs from which a job hears: of the one before in each of three rounds, whose metrics hear of theirs."""

TUNED = ("node", "metrics", "runtime", "overhead")
"""Layers that fine-tuning moves; all else stays as it was pretrained."""

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

    def part(self, jobs: slice, nodes: slice) -> "Batch":
        """Batch of the jobs between two positions, which have these nodes."""
        kept = dict.fromkeys(_OF_NODE, nodes) | dict.fromkeys(_OF_JOB, jobs)
        return self._replace(**{name: getattr(self, name)[:, of] for name, of in kept.items()})


_OF_JOB = ("old_ratio", "delay", "lead", "future", "target_job")
_OF_NODE = (
    *("features", "context", "log_runtime", "deviation", "metrics", "similar_metrics", "metrics_known"),
    *("target_node", "target_metrics"),
)
"""Fields of a batch by what their second axis is."""


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


class Inputs(NamedTuple):
    """Batch as the network computes with it: nodes first, and all that no layer after the context moves.

    Vertices are the nodes, and behind them two summaries of each job: that of the job before it, and of
    the same job in the most similar runs. V = N + 2J.
    """

    vertices: Tensor
    """Features, metrics, whether they are known, context: (V, S, FEATURES + 5 + 1 + EMBEDDING)."""
    metrics: Tensor
    """(N, S, 5)"""
    unknown: Tensor
    """Bound of what the network adds to them, 0 where they are known, (N, S, 1)."""
    log_runtime: Tensor
    """(N, S)"""


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


def _own(module: nn.Module) -> nn.Module:
    """Copy of a module with weights of its own; `deepcopy` takes ten times as long."""
    copied = copy(module)
    copied._parameters = {
        name: value if value is None else nn.Parameter(value.detach().clone(), value.requires_grad)
        for name, value in module._parameters.items()
    }
    copied._modules = {name: child and _own(child) for name, child in module._modules.items()}
    return copied


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
        self.levels: tuple[Level, ...]
        self.edges: Tensor
        self.node_job: Tensor
        self.job_share: Tensor
        self.drivers: Tensor
        self.vertex_kind: Tensor
        self._lay_out(graph)
        width = FEATURES + len(METRIC_NAMES) + 1 + EMBEDDING
        self.context = ContextEncoder()
        self.node = nn.Linear(width, hidden_dim)
        self.kind = nn.Parameter(torch.zeros(3, hidden_dim))
        self.attention = Attention(hidden_dim, heads=2)
        self.metrics = _head(2 * hidden_dim, hidden_dim, len(METRIC_NAMES), dropout)
        self.runtime = _head(2 * hidden_dim, hidden_dim, 1, dropout)
        self.overhead = _head(hidden_dim + 2, hidden_dim, 1, dropout)

    def _lay_out(self, graph: Graph) -> None:
        nodes, jobs = len(graph.names), len(graph.job_ids)
        node_job = torch.from_numpy(graph.node_job)
        roots = torch.from_numpy(graph.roots)
        previous, similar = nodes + node_job[roots], nodes + jobs + node_job[roots]
        edges = torch.from_numpy(graph.edges)
        feeding = torch.cat([torch.stack([previous, roots]), torch.stack([similar, roots])], dim=1)
        edges = torch.cat([edges, feeding], dim=1)
        self.levels = levels_of(graph)
        for name, value in {
            "edges": edges[:, edges[1].argsort(stable=True)],
            "node_job": node_job,
            "job_share": 1.0 / torch.bincount(node_job, minlength=jobs)[:, None, None],
            "drivers": torch.from_numpy(graph.drivers),
            "vertex_kind": torch.arange(3).repeat_interleave(torch.tensor([nodes, jobs, jobs])),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def over(self, graph: Graph) -> "RuntimeModel":
        """The same network, weights shared, over another graph."""
        other = copy(self)
        other._buffers, other._non_persistent_buffers_set = dict(self._buffers), set()
        other._lay_out(graph)
        return other

    def copy_to_tune(self) -> "RuntimeModel":
        """Copy of a network whose output layers and node layer are its own, and move; all else is shared."""
        copied = copy(self)
        copied._modules, copied._buffers = dict(self._modules), dict(self._buffers)
        for name in TUNED:
            copied._modules[name] = _own(getattr(self, name))
        return copied

    def inputs(self, batch: Batch) -> Inputs:
        """Lay out a batch; to be done again only when the context's code moves."""
        code = self.context.encode(batch.context)[batch.context_of]
        known = batch.metrics_known.unsqueeze(-1)
        own = torch.cat([batch.features, batch.metrics, known, code], dim=-1).transpose(0, 1)
        history = torch.cat([batch.deviation.unsqueeze(-1), batch.similar_metrics], dim=-1)
        jobs, history = self.by_job(own), self.by_job(history.transpose(0, 1))
        previous = torch.cat([torch.zeros_like(jobs[:1]), jobs[:-1]])
        split = FEATURES - 1  # the last feature is the deviation from the law
        similar = torch.cat([jobs[..., :split], history, jobs[..., METRICS.stop :]], dim=-1)
        return Inputs(
            torch.cat([own, previous, similar]),
            batch.metrics.transpose(0, 1).contiguous(),
            METRICS_LIMIT * (1.0 - known).transpose(0, 1),
            batch.log_runtime.T.contiguous(),
        )

    def forward(self, batch: Batch, inputs: Inputs | None = None) -> Prediction:
        """Predict every node and job of every sample in one pass.

        Args:
            inputs: The batch's, where they are at hand.
        """
        inputs = self.inputs(batch) if inputs is None else inputs
        nodes, jobs = len(inputs.metrics), len(self.drivers)
        # Only metrics change from round to round, and only own states and summaries of the previous job
        # hear of them.
        first = self.node(inputs.vertices) + self.kind[self.vertex_kind].unsqueeze(1)
        hidden, similar = nn.functional.silu(first).split([nodes + jobs, jobs])  # type: ignore[no-untyped-call]
        first, said_similar = first[: nodes + jobs], self.attention.said(similar)
        of_metrics = self.node.weight[:, METRICS]
        metrics = inputs.metrics
        for _ in range(2):  # the second round sees predicted metrics of the previous job
            state = self._states(hidden, said_similar)
            added = inputs.unknown * torch.tanh(self.metrics(state))
            metrics = inputs.metrics + added
            moved = nn.functional.linear(added, of_metrics)
            of_jobs = self.by_job(moved)
            moved = torch.cat([moved, torch.zeros_like(of_jobs[:1]), of_jobs[:-1]])
            hidden = nn.functional.silu(first + moved)
        state = self._states(hidden, said_similar)
        correction = self.gate * self.correction_limit * torch.tanh(self.runtime(state)).squeeze(-1)
        log_runtime = inputs.log_runtime + correction
        job = self._job_runtime(log_runtime)
        job = job + self._overhead(batch, job, self.by_job(hidden[:nodes]))
        return Prediction(job.clamp_min(MIN_SECONDS).T, log_runtime.T, metrics.transpose(0, 1), correction.T)

    def job_runtime(self, batch: Batch) -> Tensor:
        """Seconds of each job, including overhead, (S, J); where laws serve, nothing else is computed."""
        if float(self.gate) > 0:
            return self(batch).job_runtime  # type: ignore[no-any-return]
        job = self._job_runtime(batch.log_runtime.T)
        return (job + self._overhead(batch, job, None)).clamp_min(MIN_SECONDS).T

    def by_job(self, values: Tensor) -> Tensor:
        """Means over the nodes of each job, (N, S, ...) to (J, S, ...)."""
        total = values.new_zeros(len(self.job_share), *values.shape[1:])
        return total.index_add(0, self.node_job, values) * self.job_share

    def _states(self, hidden: Tensor, said_similar: Tensor) -> Tensor:
        """Node states next to what their parents told them, (N, S, 2H).

        Args:
            hidden: Of the nodes and of each one's previous job, (N + J, S, H).
            said_similar: By the same jobs in similar runs, (J, S, H).
        """
        own = hidden[: len(self.node_job)]
        said = torch.cat([self.attention.said(hidden), said_similar])
        return torch.cat([own, self.attention(said, own, self.edges)], dim=-1)

    def _job_runtime(self, log_runtime: Tensor) -> Tensor:
        """Seconds of jobs along their critical paths, (N, S) to (J, S)."""
        finish = latest_finish(log_runtime.exp(), self.levels)
        return finish.index_select(0, self.drivers).clamp_min(MIN_SECONDS)

    def _overhead(self, batch: Batch, job: Tensor, hidden: Tensor | None) -> Tensor:
        """Seconds by which a job differs because the wanted scale-out is not in effect at once, (J, S).

        For the delay the job proceeds as at the old scale-out; what is left of it when the job
        ends reaches into the next one, where the sample says so.

        Args:
            job: Seconds of each job, (J, S).
            hidden: State of each job, (J, S, H); without it, delays are as usual.
        """
        future, delay, old_ratio = batch.future.T, batch.delay.T, batch.old_ratio.T
        if hidden is not None:
            hints = torch.stack([old_ratio, delay.log1p()], dim=-1)
            learned = torch.tanh(self.overhead(torch.cat([hidden, hints], dim=-1))).squeeze(-1)
            delay = delay * torch.exp(self.gate * OVERHEAD_LIMIT * learned)
        old = job * old_ratio.clamp(-4.0, 4.0).exp()
        passed = ((old + batch.lead.T) * future).cumsum(dim=0)
        left = (delay.sum(dim=0) - passed + old).clamp_min(0.0)
        delay = torch.where(batch.carried > 0, left, delay)
        return future * torch.minimum(delay, old) * (1.0 - job / old)
