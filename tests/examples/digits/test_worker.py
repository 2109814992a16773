"""In which order the example's processes learn from their images."""

import importlib
from itertools import product

import pytest

from tests.support.digits import DIGITS


def test_each_seed_epoch_and_process_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DIGITS))
    worker = importlib.import_module("worker")

    def order(*turn: int) -> tuple[int, ...]:
        return tuple(int(index) for batch in worker._batches(40, 4, 10, turn) for index in batch)

    turns = list(product((-1, 0, 1, 2**62), (1, 2), (0, 1)))
    orders = [order(*turn) for turn in turns]
    assert all(sorted(each) == list(range(40)) for each in orders)
    assert len(set(orders)) == len(turns)
    assert [order(*turn) for turn in turns] == orders
