"""Rows of several callers computed together: whose turn it is, who is tried alone, who is refused."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from common.errors import PayloadTooLarge, ServiceError
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.model_process.frames import (
    Answer,
    Row,
    decode_request,
    encode_answers,
)
from prediction.inference.model_process.words import ModelDied
from prediction.inference.queue.batching import (
    Batcher,
    BatchLimits,
    PoisonousRow,
    RowAnswer,
    RowFailed,
    RowFatal,
    RowLate,
)
from prediction.inference.queue.breaker import Breaker, VersionBroken


def row(x: Any) -> Row:
    return Row({"x": x})


class Model:
    """What a batcher asks: answers with each row's own number, ends with 13, has no answer to 7."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.is_away = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def ask(self, frame: bytes, seconds: float) -> bytes:
        numbers = [each.values["x"] for each in decode_request(frame)]
        self.batches.append(numbers)
        await self.goes_on.wait()
        if self.is_away:
            self.is_away -= 1
            raise EngineUnavailable("away")
        if 13 in numbers:
            raise ModelDied("exit code 3")
        answers = [Answer(error="no seven") if number == 7 else Answer(value=number) for number in numbers]
        return encode_answers(answers, 0.001)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def batcher(model: Model) -> Batcher:
    return Batcher("model/1", model.ask, BatchLimits(4, 0.0, 1, 5.0), Breaker(most=3))


def said(outcomes: Sequence[RowAnswer | ServiceError]) -> list[Any]:
    return [each.value if isinstance(each, RowAnswer) else type(each) for each in outcomes]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_callers_take_turns_and_get_their_own(model: Model, batcher: Batcher) -> None:
    model.goes_on.clear()
    first = asyncio.create_task(batcher.answer([row(0)], 5))
    await until(lambda: model.batches)
    many = asyncio.create_task(batcher.answer([row(number) for number in range(100, 108)], 5))
    one = asyncio.create_task(batcher.answer([row(1), row(7)], 5))
    await asyncio.sleep(0)
    model.goes_on.set()
    assert said(await one) == [1, RowFailed]
    assert said(await many) == list(range(100, 108))
    assert said(await first) == [0]
    assert model.batches[1] == [100, 1, 101, 7], "who asks with eight does not hold up who asks with two"
    await batcher.close()


async def test_a_batch_that_ends_its_process_is_asked_again_row_by_row(
    model: Model, batcher: Batcher
) -> None:
    assert said(await batcher.answer([row(1), row(13), row(2)], 5)) == [1, RowFatal, 2]
    assert model.batches == [[1, 13, 2], [1], [13], [2]]
    assert said(await batcher.answer([row(13), row(3)], 5)) == [PoisonousRow, 3]
    assert model.batches[-1] == [3], "it has ended two processes, and is asked no more"
    await batcher.answer([row(1), row(2)], 5)
    assert model.batches[-1] == [1, 2], "who was innocent goes with others again"


async def test_one_end_counts_once_for_callers_who_ask_the_same() -> None:
    batches: list[list[Any]] = []
    goes_on = asyncio.Event()

    async def ask(frame: bytes, seconds: float) -> bytes:
        numbers = [each.values["x"] for each in decode_request(frame)]
        batches.append(numbers)
        if len(batches) == 1:
            raise ModelDied("killed, for whatever reason")
        await goes_on.wait()
        return encode_answers([Answer(value=number) for number in numbers], 0.001)

    batcher = Batcher("model/1", ask, BatchLimits(4, 0.0, 1, 5.0), Breaker(most=3))
    two = asyncio.create_task(batcher.answer([row(5), row(5)], 5))
    await until(lambda: len(batches) == 2)
    third = asyncio.create_task(batcher.answer([row(5)], 5))
    await asyncio.sleep(0)
    goes_on.set()
    assert said(await two) == [5, 5]
    assert said(await third) == [5]
    assert batches == [[5, 5], [5], [5], [5]], "and each goes alone"
    await batcher.close()


async def test_a_row_alone_is_not_tried_again_and_goes_alone_from_then_on(
    model: Model, batcher: Batcher
) -> None:
    assert said(await batcher.answer([row(13)], 5)) == [RowFatal]
    assert model.batches == [[13]]
    assert said(await batcher.answer([row(1), row(13)], 5)) == [1, RowFatal]
    assert model.batches[1:] == [[1], [13]]
    assert said(await batcher.answer([row(13)], 5)) == [PoisonousRow]


async def test_while_the_engine_is_away_rows_wait(model: Model, batcher: Batcher) -> None:
    model.is_away = 2
    assert said(await batcher.answer([row(1)], 5)) == [1]
    assert len(model.batches) == 3


async def test_nothing_waits_longer_than_its_caller(model: Model, batcher: Batcher) -> None:
    model.goes_on.clear()
    assert said(await batcher.answer([row(1), row(2)], 0.05)) == [RowLate, RowLate]
    gone = asyncio.create_task(batcher.answer([row(5)], 5))
    await asyncio.sleep(0.01)
    gone.cancel()
    stays = asyncio.create_task(batcher.answer([row(6)], 5))
    await asyncio.sleep(0.01)
    model.goes_on.set()
    assert said(await stays) == [6]
    assert [5] not in model.batches
    assert model.batches[-1] == [6], "who has gone is not computed for"


async def test_rows_wait_for_others_where_that_is_wanted(model: Model) -> None:
    batcher = Batcher("model/1", model.ask, BatchLimits(3, 5.0, 2, 5.0), Breaker())
    found = await asyncio.gather(*(batcher.answer([row(number)], 5) for number in range(3)))
    assert [said(each) for each in found] == [[0], [1], [2]]
    assert model.batches == [[0, 1, 2]], "as many as there may be do not wait"


async def test_a_version_that_dies_of_many_rows_is_left_alone() -> None:
    now = 0.0
    breaker = Breaker(most=2, within_seconds=60, pause_seconds=15, clock=lambda: now)
    dies = True

    async def ask(frame: bytes, seconds: float) -> bytes:
        if dies:
            raise ModelDied("exit code 3")
        return encode_answers([Answer(value=1)], 0.0)

    batcher = Batcher("model/1", ask, BatchLimits(4, 0.0, 1, 5.0), breaker)
    assert said(await batcher.answer([row(1)], 5)) == [RowFatal]
    assert said(await batcher.answer([row(2)], 5)) == [RowFatal]
    [refused] = await batcher.answer([row(3)], 5)
    assert isinstance(refused, VersionBroken)
    assert refused.headers["Retry-After"] == "15"
    now, dies = 16.0, False
    assert said(await batcher.answer([row(4)], 5)) == [1], "one row is the trial"
    assert said(await batcher.answer([row(5)], 5)) == [1]


def refused(breaker: Breaker, caller: str) -> bool:
    return breaker.refusal(caller) is not None


def test_who_ends_a_version_alone_is_refused_alone() -> None:
    now = 0.0
    breaker = Breaker(most=4, within_seconds=60, pause_seconds=15, clock=lambda: now)
    for _ in range(20):
        breaker.failed("exit code 3", "poisoner")
    assert refused(breaker, "poisoner")
    assert not refused(breaker, "somebody")
    breaker.failed("exit code 3", "somebody")
    assert not breaker.is_open, "of one caller no more than half counts for all"
    breaker.succeeded(["somebody"])
    assert refused(breaker, "poisoner"), "what others are answered says nothing of them"
    now = 16.0
    assert not refused(breaker, "poisoner"), "the trial"
    assert refused(breaker, "poisoner"), "until it has ended"
    breaker.succeeded(["poisoner"])
    assert not refused(breaker, "poisoner")


@pytest.mark.parametrize("callers", [["a", "a", "b", "b"], [None] * 4, ["a", "b", "c", "d"]])
def test_what_several_callers_or_nobody_s_row_end_is_left_alone_by_all(callers: list[str | None]) -> None:
    breaker = Breaker(most=4)
    for caller in callers:
        assert not breaker.is_open
        breaker.failed("exit code 3", caller)
    assert breaker.is_open
    assert refused(breaker, "anybody")


async def test_halves_of_characters_become_question_marks() -> None:
    async def ask(frame: bytes, seconds: float) -> bytes:
        said = {"label": "\ud800", "\udfff": ["\U0001f600", 1.5, None, True]}
        return encode_answers([Answer(value=said), Answer(error="no \ud800")], 0.0)

    batcher = Batcher("model/1", ask, BatchLimits(4, 0.0, 1, 5.0), Breaker())
    answer, error = await batcher.answer([row(1), row(2)], 5)
    assert isinstance(answer, RowAnswer)
    assert answer.value == {"label": "?", "?": ["\U0001f600", 1.5, None, True]}
    assert (type(error), str(error)) == (RowFailed, "no ?")


async def test_what_is_large_counts_as_it_is(model: Model, batcher: Batcher) -> None:
    [refusal] = await batcher.answer([row([[1.5] * 4_000_000] * 10)], 5)
    assert isinstance(refusal, PayloadTooLarge)
    assert not model.batches
