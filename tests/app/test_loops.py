"""Loops in the background: what ends one turn ends no other, and no clock that is set holds one up."""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from app.loops import every_loop
from common.errors import Unavailable
from common.loops import BackOff, Loop, running, until_done
from common.mongo.document import utc_now
from tests.support.clocks import Clocks

_PATIENCE_SECONDS = 60.0


class Turns:
    """Work that counts its turns, and fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.count = 0
        self.times: list[datetime] = []
        self._failures = list(failures)

    async def __call__(self) -> None:
        self.count += 1
        self.times.append(utc_now())
        if self._failures:
            raise self._failures.pop(0)

    async def more(self, number: int = 3) -> None:
        wanted = self.count + number
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.count < wanted:
                await asyncio.sleep(0.01)


class Served:
    """Stands for each of the services that have something to do in the background."""

    configured = True

    def __init__(self) -> None:
        self.tick = Turns()
        self.reconcile = Turns()
        self.start_ready = Turns()

    def loop(self) -> Loop:
        return Loop("trainings", self.tick, 0.01)

    def loops(self) -> list[Loop]:
        return [Loop("own", self.reconcile, 0.01)]


def inventory(periodic: Served, collect: Turns, submissions: Served, schedules: Served) -> list[Loop]:
    others: Any = Served(), Served(), periodic, collect, submissions, schedules, Served(), Served()
    return every_loop(
        *others,
        of_teams=[],
        collect_contents=collect,
        collect_outputs=collect,
        collect_ended_tokens=collect,
        heartbeat_seconds=0.01,
    )


async def test_loops_go_on_while_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks, turns = Clocks(monkeypatch), Turns()
    async with running([Loop("looking", turns, pause_seconds=0.01)]):
        await turns.more()
        clocks.set_back(hours=2)
        await turns.more()
        clocks.set_forward(hours=2)
        await turns.more()
    assert max(turns.times) - min(turns.times) > timedelta(hours=1)


async def test_every_loop_goes_on_while_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "_SCHEDULE_SECONDS",
        "_RECONCILE_SECONDS",
        "_COLLECTION_SECONDS",
        "_FIRST_COLLECTION_SECONDS",
    ):
        monkeypatch.setattr(f"app.loops.{name}", 0.01)
    clocks, collect = Clocks(monkeypatch), Turns()
    trainings, submissions, schedules = Served(), Served(), Served()
    work = (trainings.tick, collect, submissions.reconcile, schedules.tick)
    async with running(inventory(trainings, collect, submissions, schedules)):
        for jump in (0.0, 2.0, -2.0):
            clocks.set_back(hours=jump)
            await asyncio.gather(*(turns.more() for turns in work))


async def test_trainings_that_recur_never_are_not_looked_for() -> None:
    trainings = Served()
    trainings.configured = False
    names = {loop.name for loop in inventory(trainings, Turns(), Served(), Served())}
    assert names == {
        "trainings",
        "own",
        "recurring submissions",
        "abandoned submissions",
        "programs that wait",
        "garbage",
        "contents of workspaces",
        "outputs of programs",
        "accuracy of forecasts",
        "listeners' tokens",
    }


async def test_errors_cost_one_turn(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns(AutoReconnect("the database is away"), Unavailable(""), ZeroDivisionError("a mistake"))
    with caplog.at_level(logging.WARNING):
        async with running([Loop("garbage", turns, pause_seconds=0.01)]):
            await turns.more(5)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", "garbage: tried again later: the database is away"),
        ("WARNING", "garbage: tried again later: Unavailable"),
        ("ERROR", "garbage failed; tried again later"),
    ]
    assert caplog.records[2].exc_info, "a mistake is looked for by its traceback"


async def test_the_first_turn_is_waited_for() -> None:
    early, late = Turns(), Turns()
    async with running(
        [Loop("early", early, 0.01), Loop("late", late, pause_seconds=0.01, first_after_seconds=3600.0)]
    ):
        await early.more(20)
    assert late.count == 0


async def test_work_is_never_done_twice_at_a_time_and_ends_with_the_context() -> None:
    begun, cleaned_up = [], []

    async def work() -> None:
        begun.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned_up.append(True)

    other = Turns()
    async with running([Loop("slow", work, 0.001), Loop("other", other, 0.001)]):
        await other.more(50)
    assert (len(begun), len(cleaned_up)) == (1, 1)
    count = other.count
    await asyncio.sleep(0.05)
    assert other.count == count


async def test_work_that_swallows_its_cancellation_is_the_last() -> None:
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with running([Loop("swallowing", work, pause_seconds=0.0)]):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not begun:
                await asyncio.sleep(0.01)
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == "swallowing"]
    assert begun == [True]
    assert task.cancelling() == 1, "it was asked once"


async def test_pauses_grow_with_failures_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted_sleep(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    failures = [Unavailable("")] * 4
    turns = Turns(*failures)
    loop = Loop("store", turns, pause_seconds=7.0, back_off=BackOff(first_seconds=1.0, longest_seconds=5.0))
    monkeypatch.setattr("common.loops.asyncio.sleep", noted_sleep)
    task = asyncio.create_task(loop.run_forever())
    while len(pauses) < 7:
        await sleep(0.001)
    task.cancel()
    assert pauses[:7] == [0.0, 1.0, 2.0, 4.0, 5.0, 7.0, 7.0]


def test_a_back_off_doubles_up_to_its_longest_pause() -> None:
    back_off = BackOff(first_seconds=1.0, longest_seconds=5.0)
    assert [back_off.seconds(failures) for failures in (1, 2, 3, 4, 1000)] == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_a_loop_that_is_woken_does_not_wait_for_its_pause() -> None:
    wake, turns = asyncio.Event(), Turns()
    async with running([Loop("patient", turns, pause_seconds=3600.0, wake=wake)]):
        await turns.more(1)
        for _ in range(3):
            wake.set()
            await turns.more(1)


async def test_a_turn_may_say_when_the_next_one_is() -> None:
    turns: list[float] = []

    async def work() -> float | None:
        turns.append(0.0)
        return 0.0 if len(turns) < 5 else None

    async with running([Loop("busy", work, pause_seconds=3600.0)]):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(turns) < 5:
                await asyncio.sleep(0.001)
    assert len(turns) == 5


async def test_what_passes_by_itself_is_tried_until_it_succeeds_and_nothing_else() -> None:
    failures: list[Exception] = [Unavailable(""), AutoReconnect("")]

    async def attempt() -> str:
        if failures:
            raise failures.pop(0)
        return "done"

    assert await until_done("trying", attempt, BackOff(0.001, 0.01)) == "done"
    failures.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await until_done("trying", attempt, BackOff(0.001, 0.01))
