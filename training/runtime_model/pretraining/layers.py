"""Parts of the network with derivatives in closed form, on tensors whose rows lie together.

Derivatives of weights are added to `gradients`, by the names that the weights have in the network.
Axes: V vertices, N of them nodes, J jobs, E edges, S samples, H length of a state.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from training.runtime_model.network import RuntimeModel

Weights = Mapping[str, Tensor]

_MOST_DIFFERENCE = 80.0
"""Of two scores of attention, so that no exponential overflows; the smaller one's weight is 0 long before."""


def rows(values: Tensor) -> Tensor:
    """All axes but the last as one, (..., A) to (rows, A)."""
    return values.reshape(-1, values.shape[-1])


def linear(weights: Weights, name: str, inputs: Tensor) -> Tensor:
    """Apply a linear layer to rows, (..., A) to (..., B)."""
    found = torch.addmm(weights[f"{name}.bias"], rows(inputs), weights[f"{name}.weight"].T)
    return found.view(*inputs.shape[:-1], found.shape[1])


def add_linear(gradients: Weights, name: str, of_output: Tensor, inputs: Tensor) -> None:
    """Add derivatives of a linear layer."""
    flat = rows(of_output)
    gradients[f"{name}.weight"].addmm_(flat.T, rows(inputs))
    gradients[f"{name}.bias"].add_(flat.sum(dim=0))


def silu_backward(of_value: Tensor, values: Tensor) -> Tensor:
    """Derivatives by what went into a SiLU."""
    return torch.ops.aten.silu_backward(of_value, values)  # type: ignore[no-any-return]


class Head(NamedTuple):
    """Two layers, as `network._head` makes them, over inputs in two pieces, of rows each."""

    name: str
    own: Tensor
    other: Tensor
    first: Tensor
    """Before SiLU, (rows, H)."""
    kept: Tensor | None
    """What dropout multiplies by."""
    hidden: Tensor
    output: Tensor

    @classmethod
    def of(cls, weights: Weights, name: str, own: Tensor, other: Tensor, kept: Tensor | None) -> "Head":
        """Compute it, of (..., A) and (..., B)."""
        weight = weights[f"{name}.0.weight"]
        split = own.shape[-1]
        first = torch.addmm(weights[f"{name}.0.bias"], rows(own), weight[:, :split].T)
        first.addmm_(rows(other), weight[:, split:].T)
        hidden = torch.nn.functional.silu(first)
        if kept is not None:
            hidden.mul_(kept)
        output = torch.addmm(weights[f"{name}.3.bias"], hidden, weights[f"{name}.3.weight"].T)
        return cls(name, own, other, first, kept, hidden, output.view(*own.shape[:-1], -1))

    def backward(self, weights: Weights, of_output: Tensor, gradients: Weights) -> tuple[Tensor, Tensor]:
        """Derivatives by both pieces, of their shapes."""
        of_output = rows(of_output)
        add_linear(gradients, f"{self.name}.3", of_output, self.hidden)
        of_hidden = of_output @ weights[f"{self.name}.3.weight"]
        if self.kept is not None:
            of_hidden.mul_(self.kept)
        of_first = silu_backward(of_hidden, self.first)
        split, weight = self.own.shape[-1], weights[f"{self.name}.0.weight"]
        of_weight = gradients[f"{self.name}.0.weight"]
        of_weight[:, :split].addmm_(of_first.T, rows(self.own))
        of_weight[:, split:].addmm_(of_first.T, rows(self.other))
        gradients[f"{self.name}.0.bias"].add_(of_first.sum(dim=0))
        of_own, of_other = of_first @ weight[:, :split], of_first @ weight[:, split:]
        return of_own.view_as(self.own), of_other.view_as(self.other)


class Round(NamedTuple):
    """What one round of listening to parents came to."""

    first: Tensor
    """States of nodes and of each one's previous job before SiLU, (N + J, S, H)."""
    hidden: Tensor
    message: Tensor
    """(E, S, H)"""
    heard: Tensor
    """(E, S, H)"""
    rectified: Tensor
    """(E, S, H)"""
    weight: Tensor
    """Attention, (E, S, heads)."""
    wide: Tensor
    """Attention of each place of a state, (E, S, H)."""
    told: Tensor
    """(N, S, H)"""


class Attention:
    """`message_passing.Attention` over one graph."""

    def __init__(self, network: RuntimeModel) -> None:
        self._source, self._target = network.edges
        self._nodes, self._vertices = len(network.node_job), len(network.vertex_kind)
        # Edges are in order of their targets; every node has one, as the root of a job or below it.
        self._first = torch.searchsorted(self._target, self._target)
        self._slope = network.attention.negative_slope
        _, heads, width = network.attention.att.shape
        self._shape = (heads, width)
        self._of_head = torch.eye(heads).repeat_interleave(width, dim=1)

    def forward(self, weights: Weights, first: Tensor, said_similar: Tensor) -> Round:
        """Listen.

        Args:
            first: (N + J, S, H)
            said_similar: By the same jobs in similar runs, (J, S, H).
        """
        hidden = torch.nn.functional.silu(first)
        said = torch.cat([linear(weights, "attention.lin_l", hidden), said_similar])
        asked = linear(weights, "attention.lin_r", hidden[: self._nodes])
        message = said.index_select(0, self._source)
        heard = asked.index_select(0, self._target).add_(message)
        rectified = torch.nn.functional.leaky_relu(heard, self._slope)
        score = (rows(rectified) @ self._by_head(weights)).view(*heard.shape[:2], -1)
        # Relative to the first edge of the same node, whose exponential is 1: none of the sums is 0.
        weight = score.sub_(score.index_select(0, self._first)).clamp_max_(_MOST_DIFFERENCE).exp_()
        total = weight.new_zeros(self._nodes, *weight.shape[1:]).index_add_(0, self._target, weight)
        weight.div_(total.index_select(0, self._target))
        wide = (rows(weight) @ self._of_head).view_as(heard)
        told = torch.zeros_like(asked).index_add_(0, self._target, message * wide)
        return Round(first, hidden, message, heard, rectified, weight, wide, told)

    def _by_head(self, weights: Weights) -> Tensor:
        """(H, heads)"""
        return (self._of_head * weights["attention.att"].reshape(-1)).T.contiguous()

    def backward(
        self, weights: Weights, done: Round, of_own: Tensor, of_told: Tensor, gradients: Weights
    ) -> tuple[Tensor, Tensor]:
        """Derivatives by what went into a round, (N + J, S, H), and by what similar runs said, (J, S, H).

        Args:
            of_own: By states of the nodes, (N, S, H).
            of_told: By what they were told, (N, S, H).
        """
        gradients["attention.bias"].add_(rows(of_told).sum(dim=0))
        of_head = self._of_head.T
        of_mean = of_told.index_select(0, self._target)
        of_score = (rows(of_mean * done.message) @ of_head).view_as(done.weight)
        usual = (rows(of_told * done.told) @ of_head).view(self._nodes, *of_score.shape[1:])
        of_score.sub_(usual.index_select(0, self._target)).mul_(done.weight)
        by_head = (rows(done.rectified).T @ rows(of_score)).view(*self._shape, -1)
        gradients["attention.att"][0].add_(by_head.diagonal(dim1=0, dim2=2).T)
        of_rectified = (rows(of_score) @ self._by_head(weights).T).view_as(done.heard)
        of_heard = torch.ops.aten.leaky_relu_backward(of_rectified, done.heard, self._slope, False)
        of_message = of_mean.mul_(done.wide).add_(of_heard)
        of_said = of_message.new_zeros(self._vertices, *of_message.shape[1:])
        of_said.index_add_(0, self._source, of_message)
        of_asked = torch.zeros_like(of_told).index_add_(0, self._target, of_heard)
        front = len(done.first)
        add_linear(gradients, "attention.lin_l", of_said[:front], done.hidden)
        add_linear(gradients, "attention.lin_r", of_asked, done.hidden[: self._nodes])
        of_hidden = (rows(of_said[:front]) @ weights["attention.lin_l.weight"]).view_as(done.first)
        own = of_hidden[: self._nodes].add_(of_own)
        rows(own).addmm_(rows(of_asked), weights["attention.lin_r.weight"])
        return silu_backward(of_hidden, done.first), of_said[front:]


class Code:
    """`network.ContextEncoder` on distinct contexts, and its own loss."""

    def __init__(self, weights: Weights, contexts: Tensor) -> None:
        self._weights, self._contexts = weights, contexts
        self._inside = linear(weights, "context.encode.0", contexts).tanh_()
        self.code = linear(weights, "context.encode.2", self._inside).tanh_()

    def backward(self, share: Tensor, of_code: Tensor, gradients: Weights) -> None:
        """Take back the loss of decoding, of which each context has its share, and what the code led to."""
        weights = self._weights
        inside = linear(weights, "context.decode.0", self.code).tanh_()
        gap = linear(weights, "context.decode.2", inside).sub_(self._contexts)
        of_gap = gap.mul_(share * (2.0 / gap.shape[1]))
        add_linear(gradients, "context.decode.2", of_gap, inside)
        of_inside = (of_gap @ weights["context.decode.2.weight"]).mul_(1.0 - inside.square())
        add_linear(gradients, "context.decode.0", of_inside, self.code)
        of_code = of_code.addmm(of_inside, weights["context.decode.0.weight"])
        of_code.mul_(1.0 - self.code.square())
        add_linear(gradients, "context.encode.2", of_code, self._inside)
        of_first = (of_code @ weights["context.encode.2.weight"]).mul_(1.0 - self._inside.square())
        add_linear(gradients, "context.encode.0", of_first, self._contexts)
