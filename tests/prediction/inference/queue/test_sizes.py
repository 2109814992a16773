"""What questions hold, and where they are worked on."""

import json
import threading
from typing import Any

import pytest

from prediction.inference.model_process.frames import Array, Row
from prediction.inference.questions import Question
from prediction.inference.queue.sizes import QUICK_BYTES, json_bytes, off_the_loop, row_bytes


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000,
        [1.5] * 10_000,
        [[1, 2]] * 5_000,
        {"x" * 100: ["y" * 100] * 100},
        {"a": {"b": [None] * 5000}},
    ],
)
def test_nested_values_count_as_flat_ones_do(value: Any) -> None:
    written = len(json.dumps(value))
    assert 0.5 * written < json_bytes(value) < 8 * written
    assert Question({"x": value}).size_bytes > json_bytes(value)
    array = Array("uint8", (1000,), bytes(1000))
    assert row_bytes(Row({"x": value}, {"y": array})) > json_bytes(value) + 1000


async def test_what_is_large_is_worked_on_in_a_thread() -> None:
    here = threading.get_ident()
    assert await off_the_loop(QUICK_BYTES, threading.get_ident) == here
    assert await off_the_loop(QUICK_BYTES + 1, threading.get_ident) != here
