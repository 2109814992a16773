"""Rows go together where that is quicker, and one by one where it is not."""

import asyncio

import pytest

from prediction.inference.model_process.frames import Answer, Row, decode_request, encode_answers
from prediction.inference.queue.batching import Batcher, BatchLimits
from prediction.inference.queue.breaker import Breaker
from prediction.inference.queue.pace import Pace

LIMIT = 16


def learned(seconds: dict[int, float], times: int = 10) -> Pace:
    """After so many batches of each size, which took so long."""
    pace = Pace()
    for _ in range(times):
        for rows, each in seconds.items():
            pace.took(rows, each)
    return pace


@pytest.mark.parametrize(
    ("seconds", "most_rows"),
    [
        ({1: 0.045, 3: 0.135}, 1),  # a network that keeps all processors busy
        ({1: 0.045, 3: 0.060}, LIMIT),
        ({1: 0.0005, 8: 0.004}, LIMIT),  # it is the way that takes long
        ({1: 0.045}, LIMIT),  # nothing is known of batches
        ({8: 8.0}, LIMIT),
    ],
)
def test_batches_are_made_where_they_gain(seconds: dict[int, float], most_rows: int) -> None:
    pace = learned(seconds)
    for rows, each in seconds.items():
        if rows > 1:  # as the latest one, so that it is not time to try again
            pace.took(rows, each)
    assert pace.most_rows(LIMIT) == most_rows


def test_batches_are_tried_again_and_come_back() -> None:
    pace = learned({1: 0.045, 3: 0.135})
    together = 0
    for _ in range(2_000):
        if (rows := min(3, pace.most_rows(LIMIT))) > 1:
            together += 1
        pace.took(rows, 0.045 * rows)
    assert 50 < together < 150
    for _ in range(500):
        rows = min(3, pace.most_rows(LIMIT))
        pace.took(rows, 0.045)
    assert pace.gains


@pytest.mark.parametrize(("each_seconds", "together_seconds"), [(0.05, 0.0), (0.0, 0.05)])
async def test_rows_of_several_callers(each_seconds: float, together_seconds: float) -> None:
    sizes: list[int] = []

    async def ask(frame: bytes, seconds: float) -> bytes:
        rows: list[Row] = decode_request(frame)
        sizes.append(len(rows))
        await asyncio.sleep(0.002)
        return encode_answers([Answer(value=1) for _ in rows], together_seconds + each_seconds * len(rows))

    batcher = Batcher("model/1", ask, BatchLimits(4, 0.0, 1, 5.0), Breaker())

    async def caller() -> None:
        for _ in range(40):
            await batcher.answer([Row({"x": 1})], 5)

    await caller()
    sizes.clear()
    await asyncio.gather(*(caller() for _ in range(4)))
    await batcher.close()
    one_by_one = sizes[len(sizes) // 2 :].count(1) / len(sizes[len(sizes) // 2 :])
    assert one_by_one > 0.8 if each_seconds else one_by_one < 0.2
