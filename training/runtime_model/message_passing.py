"""Message passing over the stage graph: attention over parents, and the critical path.

Nodes come first and samples second, so that messages are rows of memory that lie together; all samples
share one graph. `torch_geometric` does the same for graphs that differ from sample to sample, whose edges
it collects anew in each call; for graphs of some tens of nodes that costs more than the sums themselves, and
whoever imports it waits two seconds for 150 MB of compilers and tables. It is what the tests compare with.

Axes: V vertices, N of them nodes (they come first; only they are told something), E edges, S samples,
H length of a state.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.evidence.graph import Graph
from training.statistics.arrays import Ints


class Attention(nn.Module):
    """Attention over one graph as in torch_geometric's `GATv2Conv`, with its weights by its names.

    Source: Brody et al., How Attentive are Graph Attention Networks?, arXiv:2105.14491.

    Args:
        length: Of a state, H; a multiple of `heads`.
    """

    def __init__(self, length: int, heads: int, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.lin_l, self.lin_r = nn.Linear(length, length), nn.Linear(length, length)
        for linear in (self.lin_l, self.lin_r):
            nn.init.xavier_uniform_(linear.weight)
        self.att = nn.Parameter(torch.empty(1, heads, length // heads))
        bound = math.sqrt(6.0 / (heads + length // heads))  # of Glorot and Bengio, for each head's own
        nn.init.uniform_(self.att, -bound, bound)
        self.bias = nn.Parameter(torch.zeros(length))

    def said(self, states: Tensor) -> Tensor:
        """What vertices tell those that listen to them, of the shape of their states (..., H)."""
        told: Tensor = self.lin_l(states)
        return told

    def forward(self, said: Tensor, states: Tensor, edges: Tensor) -> Tensor:
        """Listen to parents.

        Args:
            said: By all vertices, (V, S, H).
            states: Of the nodes, (N, S, H).
            edges: From those who tell to nodes, (2, E).
        Returns:
            What each node was told, (N, S, H).
        """
        asked = self.lin_r(states)
        source, target = edges
        by_head = (len(source), said.shape[1], *self.att.shape[1:])
        message = said.index_select(0, source)
        heard = message + asked.index_select(0, target)
        rectified = torch.nn.functional.leaky_relu(heard, self.negative_slope)
        score = (rectified.view(by_head) * self.att).sum(dim=-1)
        # Less the largest of the same node, without which the exponential may overflow.
        largest = score.new_zeros(len(asked), *score.shape[1:])
        largest.scatter_reduce_(0, _along(target, score), score.detach(), "amax", include_self=False)
        weight = (score - largest.index_select(0, target)).exp()
        total = torch.zeros_like(largest).index_add(0, target, weight).clamp_min(1e-16)
        weight = weight / total.index_select(0, target)
        heard_by_head = message.view(by_head) * weight.unsqueeze(-1)
        return torch.zeros_like(asked).index_add(0, target, heard_by_head.view(heard.shape)) + self.bias


class Level(NamedTuple):
    """Nodes as many edges behind a root as each other, on the longest path."""

    nodes: Tensor
    """(nodes,)"""
    parents: Tensor
    """Their parents, (edges,)."""
    child: Tensor
    """Place of each edge's child among the nodes, (edges,)."""

    @property
    def joins(self) -> bool:
        """Whether a node has several parents."""
        return len(self.parents) > len(self.nodes)


def levels_of(graph: Graph) -> tuple[Level, ...]:
    """Levels of a graph, without the roots."""
    depth = graph.depths
    parents, children = graph.edges
    found = []
    for level in range(1, int(depth.max(initial=0)) + 1):
        here: Ints = children[depth[children] == level]
        order = here.argsort(kind="stable")
        nodes, child = np.unique(here, return_inverse=True)
        own = parents[depth[children] == level][order]
        found.append(Level(*map(torch.from_numpy, (nodes, own, child[order]))))
    return tuple(found)


def latest_finish(runtime: Tensor, levels: tuple[Level, ...]) -> Tensor:
    """Accumulate runtimes along the graph: sums along edges, with a maximum at joins.

    Source: Scheinert et al., Enel, arXiv:2108.12211, section IV.

    Args:
        runtime: Seconds, (N, S).
        levels: As `levels_of` has them.
    Returns:
        Seconds from the start of the job to each node's end, (N, S).
    """
    finish = runtime.clone()
    for level in levels:
        before = finish.index_select(0, level.parents)
        if level.joins:
            latest = before.new_zeros(len(level.nodes), before.shape[1])
            before = latest.scatter_reduce_(
                0, _along(level.child, before), before, "amax", include_self=False
            )
        finish.index_add_(0, level.nodes, before)
    return finish


def finish_backward(finish: Tensor, of_finish: Tensor, levels: tuple[Level, ...]) -> Tensor:
    """Derivatives by each node's runtime; parents that end at once share theirs.

    Args:
        finish: As `latest_finish` has it.
        of_finish: Derivatives by it, (N, S); changed, and returned.
    """
    for level in reversed(levels):
        passed = of_finish.index_select(0, level.nodes)
        if level.joins:
            before = finish.index_select(0, level.parents)
            latest = torch.zeros_like(passed).scatter_reduce_(
                0, _along(level.child, before), before, "amax", include_self=False
            )
            share = (before == latest.index_select(0, level.child)).to(before.dtype)
            sharing = torch.zeros_like(passed).index_add_(0, level.child, share)
            passed = (passed / sharing).index_select(0, level.child) * share
        of_finish.index_add_(0, level.parents, passed)
    return of_finish


def _along(index: Tensor, values: Tensor) -> Tensor:
    """An index of rows, of the shape of their values."""
    return index.view(-1, *[1] * (values.dim() - 1)).expand_as(values)
