"""The runtime network formula by formula, with torch_geometric: what ours is compared with."""

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, MessagePassing

from training.evidence.table import MIN_SECONDS
from training.runtime_model.network import (
    FEATURES,
    METRICS,
    METRICS_LIMIT,
    OVERHEAD_LIMIT,
    Batch,
    RuntimeModel,
)


class PlainCriticalPath(MessagePassing):  # type: ignore[misc]
    """The same with torch_geometric: summing along edges as often as the longest path has some."""

    def __init__(self) -> None:
        super().__init__(aggr="max", node_dim=-2)

    def forward(self, runtime: Tensor, edge_index: Tensor, depth: int) -> Tensor:
        own = runtime.T.unsqueeze(-1)
        finish = own
        for _ in range(depth):
            finish = own + self.propagate(edge_index, x=finish)
        return finish.squeeze(-1).T


def plain_network(network: RuntimeModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Seconds of jobs and metrics, formula by formula, with torch_geometric and dense means over jobs."""
    graph_nodes, jobs = len(network.node_job), len(network.drivers)
    member = nn.functional.one_hot(network.node_job, jobs).T.float()
    member = member / member.sum(dim=1, keepdim=True)
    known = batch.metrics_known.unsqueeze(-1)
    code = network.context.encode(batch.context)[batch.context_of]
    attention = GATv2Conv(network.node.out_features, network.node.out_features // 2, 2, add_self_loops=False)
    attention.load_state_dict(network.attention.state_dict())

    def states(metrics: Tensor) -> Tensor:
        own = torch.cat([batch.features, metrics, known, code], dim=-1)
        of_jobs = member @ own
        previous = torch.cat([torch.zeros_like(of_jobs[:, :1]), of_jobs[:, :-1]], dim=1)
        history = member @ torch.cat([batch.deviation.unsqueeze(-1), batch.similar_metrics], dim=-1)
        similar = torch.cat([of_jobs[..., : FEATURES - 1], history, of_jobs[..., METRICS.stop :]], dim=-1)
        hidden = torch.cat(
            [
                nn.functional.silu(network.node(part) + network.kind[i])
                for i, part in enumerate((own, previous, similar))
            ],
            dim=1,
        )
        heard = torch.stack([attention(each, network.edges) for each in hidden])
        return torch.cat([hidden[:, :graph_nodes], heard[:, :graph_nodes]], dim=-1)

    metrics = batch.metrics
    for _ in range(2):
        metrics = batch.metrics + (1 - known) * METRICS_LIMIT * torch.tanh(network.metrics(states(metrics)))
    state = states(metrics)
    correction = network.gate * network.correction_limit * torch.tanh(network.runtime(state)).squeeze(-1)
    within = network.edges[:, network.edges[0] < graph_nodes]
    finish = PlainCriticalPath()((batch.log_runtime + correction).exp().T, within, graph_nodes).T
    job = finish[:, network.drivers].clamp_min(MIN_SECONDS)
    hints = torch.stack([batch.old_ratio, batch.delay.log1p()], dim=-1)
    hidden = member @ state[..., : state.shape[-1] // 2]
    learned = torch.tanh(network.overhead(torch.cat([hidden, hints], dim=-1))).squeeze(-1)
    delay = batch.delay * torch.exp(network.gate * OVERHEAD_LIMIT * learned)
    old = job * batch.old_ratio.clamp(-4.0, 4.0).exp()
    return job + batch.future * torch.minimum(delay, old) * (1.0 - job / old), metrics
