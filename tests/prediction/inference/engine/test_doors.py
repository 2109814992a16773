"""Doors of replicas: who is asked the least is asked, and who is gone is told apart from who says no."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prediction.inference.engine.streams.doors import Door, DoorClosed, Doors


class Behind:
    """Answers frames with what they are; waits while it is told to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.cancelled = 0

    async def ask(self, head: Mapping[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return {"kind": head["kind"]}, frame


async def opened(folder: Path, replica: str, behind: Behind) -> dict[str, Any]:
    door = await Door.open(str(folder), replica, behind.ask)
    assert door is not None
    return {"replica": replica, "door": door.socket, "kept": door}


async def test_the_one_that_is_asked_least_is_asked(tmp_path: Path) -> None:
    doors, behind = Doors(), {name: Behind() for name in "ab"}
    kept = [await opened(tmp_path, name, each) for name, each in behind.items()]
    for described in (*kept, kept[0]):
        await doors.learn(described)
    assert len(doors) == 2
    assert await doors.ask("a", {"kind": "ok"}, b"frame") == ("ok", b"frame")
    assert await doors.ask("b", {"kind": "overdue"}, b"why") == ("overdue", b"why")

    behind["a"].may_answer.clear()
    waiting = [asyncio.create_task(doors.ask("a", {"kind": "ok"}, b"")) for _ in range(2)]
    await asyncio.sleep(0)
    assert doors.free(2) == "b"
    behind["b"].may_answer.clear()
    waiting += [asyncio.create_task(doors.ask("b", {"kind": "ok"}, b"")) for _ in range(2)]
    await asyncio.sleep(0)
    assert doors.free(2) is None
    for each in behind.values():
        each.may_answer.set()
    await asyncio.gather(*waiting)
    assert doors.free(2) is not None
    await doors.close()


async def test_who_goes_takes_the_question_back(tmp_path: Path) -> None:
    doors, behind = Doors(), Behind()
    kept = await opened(tmp_path, "a", behind)
    await doors.learn(kept)
    behind.may_answer.clear()
    waiting = asyncio.create_task(doors.ask("a", {"kind": "ok"}, b""))
    await asyncio.sleep(0.05)
    waiting.cancel()
    async with asyncio.timeout(10):
        while not behind.cancelled:
            await asyncio.sleep(0.01)
    assert doors.free(1) == "a"
    await doors.close()


async def test_a_door_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    doors, behind = Doors(), Behind()
    kept = await opened(tmp_path, "a", behind)
    await doors.learn(kept)
    behind.may_answer.clear()
    waiting = asyncio.create_task(doors.ask("a", {"kind": "ok"}, b""))
    await asyncio.sleep(0.05)
    await doors.close()
    with pytest.raises(DoorClosed):
        await waiting
    assert doors.free(1) is None
    assert len(doors) == 0


async def test_where_there_is_no_door_nobody_knocks(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    assert await Door.open(str(deep), "a", Behind().ask) is None
    doors = Doors()
    await doors.learn({"replica": "a", "door": None})
    await doors.learn({"replica": "a", "door": str(tmp_path / "nobody.sock")})
    assert doors.free(1) is None
