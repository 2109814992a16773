"""Samples laid out for training steps: all that does not depend on weights is computed once, not in each.

Nodes and jobs come first and samples second, as the network computes. Axes: N nodes, J jobs, S samples,
U distinct names of nodes together with the arguments of their runs.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from training.runtime_model.loss import Targets, unweighted_targets
from training.runtime_model.network import METRICS_LIMIT, Batch, RuntimeModel


class Samples(NamedTuple):
    """A batch as training steps read it; none of its samples carries a delay on into the next job."""

    fixed: Tensor
    """Features, metrics, and whether they are known: (N, S, FEATURES + 5 + 1)."""
    code_row: Tensor
    """Row of each node's context among the distinct ones, (N, S)."""
    history: Tensor
    """Means over each job's nodes of what similar runs say: deviation, metrics; (J, S, 6)."""
    metrics: Tensor
    """(N, S, 5)"""
    unknown: Tensor
    """Bound of what the network adds to metrics, 0 where they are known, (N, S, 1)."""
    log_runtime: Tensor
    """(N, S)"""
    delay: Tensor
    """(J, S)"""
    hints: Tensor
    """What the overhead network hears besides the job's state, (J, S, 2)."""
    slower: Tensor
    """Runtime at the old scale-out over that at the wanted one, (J, S)."""
    gained: Tensor
    """Share of the seconds at the old scale-out by which a job differs; 0 for known jobs, (J, S)."""
    targets: Targets
    """Not yet weighted; jobs, nodes first."""

    def select(self, chosen: Tensor) -> "Samples":
        """Some of the samples, by their indices."""
        return Samples._make(
            Targets._make(part.index_select(_axis(part), chosen) for part in value)
            if isinstance(value, Targets)
            else value.index_select(1, chosen)
            for value in self
        )


def _axis(target: Tensor) -> int:
    """Axis of samples."""
    return min(target.dim(), 2) - 1


class Contexts(NamedTuple):
    """Distinct contexts of nodes."""

    rows: Tensor
    """(U, CONTEXT_BUCKETS)"""
    share: Tensor
    """Of all contexts of all nodes, (U, 1)."""


def lay_out(network: RuntimeModel, batch: Batch) -> tuple[Samples, Contexts]:
    """Lay out a batch for steps of networks over one graph.

    Args:
        network: Any over the batch's graph; only its layout is read.
    """
    contexts, nodes = batch.context.flatten(0, 1), batch.context.shape[1]
    rows, row_of, counts = torch.unique(contexts, dim=0, return_inverse=True, return_counts=True)
    history = torch.cat([batch.deviation.unsqueeze(-1), batch.similar_metrics], dim=-1).transpose(0, 1)
    known = batch.metrics_known.unsqueeze(-1)
    old_ratio, delay, future = batch.old_ratio.T, batch.delay.T, batch.future.T
    slower = old_ratio.clamp(-4.0, 4.0).exp()
    found = Samples(
        torch.cat([batch.features, batch.metrics, known], dim=-1).transpose(0, 1),
        row_of.view(-1, nodes)[batch.context_of].T,
        network.by_job(history),
        batch.metrics.transpose(0, 1),
        METRICS_LIMIT * (1.0 - known).transpose(0, 1),
        batch.log_runtime.T,
        delay,
        torch.stack([old_ratio, delay.log1p()], dim=-1),
        slower,
        future * (1.0 - 1.0 / slower),
        Targets._make(
            value.transpose(0, _axis(value)).contiguous() for value in unweighted_targets(network, batch)
        ),
    )
    contiguous = Samples._make(value if isinstance(value, Targets) else value.contiguous() for value in found)
    return contiguous, Contexts(rows, (counts / counts.sum()).unsqueeze(-1))
