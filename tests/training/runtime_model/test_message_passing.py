"""Message passing over one graph is what torch_geometric's general form of it is, derivatives included."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GATv2Conv

from tests.support.plain_network import PlainCriticalPath
from training.evidence.graph import Graph
from training.runtime_model.message_passing import Attention, latest_finish, levels_of

EDGES = np.array([[0, 1, 2, 0, 5], [2, 2, 3, 3, 6]])
"""0 -> 2, 1 -> 2, 2 -> 3 and 0 -> 3; 4 alone; 5 -> 6."""


def graph_of(nodes: int, edges: np.ndarray) -> Graph:
    names = (*("stage",) * (nodes - 1), "")
    return Graph((0,), np.zeros(nodes, np.int64), names, (0,) * nodes, np.ones(nodes), edges)


def of(function: Any, *inputs: Tensor) -> list[Tensor]:
    """Values, and derivatives of a weighted sum of them."""
    inputs = tuple(each.detach().clone().requires_grad_(True) for each in inputs)
    found = function(*inputs)
    weights = torch.arange(found.numel(), dtype=found.dtype).reshape(found.shape).cos()
    return [found.detach(), *torch.autograd.grad((found * weights).sum(), inputs)]


def test_critical_path_sums_along_edges_and_takes_the_maximum_at_joins() -> None:
    runtime = torch.tensor([[2.0, 5.0, 1.0, 4.0, 3.0, 1.0, 1.0], [7.0, 5.0, 1.0, 4.0, 0.5, 2.0, 0.0]]).T
    finish = latest_finish(runtime, levels_of(graph_of(7, EDGES)))
    assert finish.T.tolist() == [[2.0, 5.0, 6.0, 10.0, 3.0, 1.0, 2.0], [7.0, 5.0, 8.0, 12.0, 0.5, 2.0, 2.0]]


def test_critical_path_without_edges_is_the_runtime_itself() -> None:
    runtime = torch.tensor([[2.0, 5.0]]).T
    assert torch.equal(latest_finish(runtime, levels_of(graph_of(2, np.empty((2, 0), np.int64)))), runtime)


@pytest.mark.parametrize("ties", [False, True], ids=["apart", "parents that end at once"])
def test_critical_path_is_that_of_torch_geometric(ties: bool) -> None:
    torch.manual_seed(1)
    runtime = torch.ones(7, 3) if ties else torch.rand(7, 3)
    levels = levels_of(graph_of(7, EDGES))
    ours = of(lambda x: latest_finish(x, levels), runtime)
    plain = of(lambda x: PlainCriticalPath()(x, torch.from_numpy(EDGES), 2), runtime)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_is_that_of_torch_geometric_with_the_same_weights() -> None:
    torch.manual_seed(2)
    vertices, nodes, samples, length = 9, 7, 3, 8
    feeding = np.array([[7, 7, 8, 8, 7], [0, 1, 4, 5, 5]])
    edges = torch.from_numpy(np.concatenate([EDGES, feeding], axis=1))
    plain = GATv2Conv(length, length // 2, heads=2, add_self_loops=False)
    ours = Attention(length, heads=2)
    ours.load_state_dict(plain.state_dict())
    states = 3.0 * torch.randn(vertices, samples, length)

    def one_by_one(states: Tensor, *_: Tensor) -> Tensor:
        return torch.stack([plain(states[:, i], edges)[:nodes] for i in range(samples)], dim=1)

    def at_once(states: Tensor) -> Tensor:
        told: Tensor = ours(ours.said(states), states[:nodes], edges)
        return told

    for one, other in zip(of(at_once, states), of(one_by_one, states), strict=True):
        torch.testing.assert_close(one, other)
    at_once(states).square().sum().backward()  # type: ignore[no-untyped-call]
    one_by_one(states).square().sum().backward()  # type: ignore[no-untyped-call]
    for (name, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            one.grad, other.grad, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_scores_that_are_large_and_far_apart_overflow_nothing() -> None:
    attention = Attention(4, heads=2)
    states = torch.randn(3, 2, 4) * 1e4
    edges = torch.tensor([[0, 2, 0], [1, 1, 0]])
    assert torch.isfinite(attention(attention.said(states), states[:2], edges)).all()
