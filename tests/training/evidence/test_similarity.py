"""Which runs are in one context."""

from dataclasses import replace

import numpy as np
import pytest

from training.evidence.similarity import SAME_CONTEXT, context_groups, similarity
from training.history.values import RunContext

CONTEXT = RunContext("Scoring", ("--k", "5"), 1000, executor_memory_mb=4096)


def test_sizes_that_vary_from_day_to_day_are_one_context() -> None:
    sizes = np.random.default_rng(0).integers(1000, 1200, 30)
    assert set(context_groups([replace(CONTEXT, data_size_mb=int(size)) for size in sizes])) == {0}


@pytest.mark.parametrize(
    "other",
    [
        {"data_size_mb": 2000},
        {"executor_memory_mb": 8192},
        {"algorithm_args": ("--k", "6")},
        {"machine_name": "large"},
        {"executor_cores": 2},
    ],
)
def test_what_differs_is_another_context(other: dict[str, object]) -> None:
    contexts = [CONTEXT, replace(CONTEXT, **other), CONTEXT]  # type: ignore[arg-type]
    assert context_groups(contexts) == [0, 1, 0]


def test_all_of_a_group_are_in_one_context_with_each_other() -> None:
    random = np.random.default_rng(1)
    contexts = [
        replace(
            CONTEXT,
            data_size_mb=int(np.exp(random.uniform(0, 8))),
            executor_memory_mb=int(random.choice([2048, 2300, 4096])),
        )
        for _ in range(200)
    ]
    groups = np.array(context_groups(contexts))
    for number in range(groups.max() + 1):
        mine = [contexts[row] for row in np.flatnonzero(groups == number)]
        for context in mine:
            assert similarity(mine, context).min() >= SAME_CONTEXT
