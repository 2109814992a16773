"""Questions made into rows: how many at once, for how long, and how large together."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from common.errors import ServiceError
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.decoding import Decoding
from prediction.inference.images.limits import ImageLimits, ImagesTooLarge
from prediction.inference.model_process.frames import Row
from prediction.inference.open_inference.requests import read_request
from prediction.inference.questions import Kept, Question, QuestionList
from prediction.inference.queue.batching import RowLate
from prediction.inference.tensor_questions import TensorQuestions
from tests.support.images import file_of

ANY_SIZE = Declaration.parse({"inputs": {"image": {"type": "image", "mode": "RGB"}}})
SMALL = Declaration.parse({"inputs": {"image": {"type": "image", "mode": "L", "width": 10, "height": 10}}})

PICTURE = file_of(np.zeros((100, 100), np.uint8), "PNG")
THREE = QuestionList([Question(files={"image": PICTURE})] * 3)


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class Slow:
    """A question that is decoded for as long as it is told to be."""

    count, size_bytes, is_slow = 1, 1, True

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.has_gone_on = False

    def rows(self, declaration: Declaration, limits: ImageLimits) -> list[Row | ServiceError]:
        self.has_begun.set()
        self.may_end.wait()
        limits.take(1)  # as for a further image
        self.has_gone_on = True
        return [Row({"x": 1})]

    def kept(self, number: int, declaration: Declaration) -> Kept:
        return {}, ()


@pytest_asyncio.fixture
async def slow() -> AsyncIterator[Slow]:
    question = Slow()
    yield question
    question.may_end.set()


async def test_nobody_waits_for_decoding_longer_than_for_an_answer(slow: Slow) -> None:
    decoding = Decoding(ImageLimits(), at_once=1)
    with pytest.raises(RowLate):
        await decoding.decoded(slow, ANY_SIZE, later(0.1))
    assert slow.has_begun.is_set()
    with pytest.raises(RowLate):  # its place is taken until the thread has ended, who ever waits
        await decoding.decoded(THREE, ANY_SIZE, later(0.1))
    slow.may_end.set()
    decoded = await decoding.decoded(THREE, ANY_SIZE, later(60))
    assert len(decoded.good) == 3
    assert all(size >= 30_000 for size in decoded.sizes)


@pytest.mark.parametrize(("rows", "fields", "blocks"), [(1, 40, True), (256, 40, False), (1, 1000, False)])
async def test_rows_of_many_fields_are_read_in_a_thread(rows: int, fields: int, blocks: bool) -> None:
    declared = Declaration.parse({"inputs": {f"field_{number}": "int" for number in range(fields)}})
    threads: list[bool] = []

    class Noted(QuestionList):
        def rows(self, declaration: Declaration, limits: ImageLimits) -> list[Row | ServiceError]:
            threads.append(threading.current_thread() is here)
            return super().rows(declaration, limits)

    here = threading.current_thread()
    decoding = Decoding(ImageLimits(), at_once=1)
    decoded = await decoding.decoded(Noted([Question()] * rows, 1000), declared, later(60))
    assert len(decoded.rows) == rows
    assert not decoded.good
    assert threads == [blocks]


async def test_who_goes_leaves_the_place_to_the_next(slow: Slow) -> None:
    decoding = Decoding(ImageLimits(), at_once=1)
    gone = asyncio.create_task(decoding.decoded(slow, ANY_SIZE, later(60)))
    await asyncio.to_thread(slow.has_begun.wait)
    waits = asyncio.create_task(decoding.decoded(THREE, ANY_SIZE, later(60)))
    gone.cancel()
    await asyncio.wait({gone})
    slow.may_end.set()
    assert len((await waits).good) == 3
    assert not slow.has_gone_on


@pytest.mark.parametrize(
    ("declaration", "most_bytes", "is_taken"),
    [(ANY_SIZE, 90_000, True), (ANY_SIZE, 89_999, False), (SMALL, 300, True), (SMALL, 299, False)],
)
async def test_images_of_a_question_are_bounded_together(
    declaration: Declaration, most_bytes: int, is_taken: bool
) -> None:
    decoding = Decoding(ImageLimits(most_decoded_bytes=most_bytes), at_once=2)
    pixels: Mapping[str, Any] = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [3, 100, 100],
        "data": [0] * 30_000,
    }
    body = json.dumps({"inputs": [pixels]}).encode()
    for questions in (THREE, TensorQuestions(read_request(body), len(body), 100)):
        for _ in range(2):  # each question counts by itself
            if is_taken:
                assert len((await decoding.decoded(questions, declaration, later(60))).good) == 3
            else:
                with pytest.raises(ImagesTooLarge, match="together"):
                    await decoding.decoded(questions, declaration, later(60))
