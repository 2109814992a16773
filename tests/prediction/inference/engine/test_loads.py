"""Loads of which nothing is told, and a gateway that hangs meanwhile; on an engine of their own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from prediction.inference.engine.deployment import Deployment
from prediction.inference.engine.engine import Engine
from prediction.inference.engine.failures import EngineUnavailable
from prediction.inference.model_process.frames import decode_answers, encode_request
from prediction.inference.model_process.plain import said_by
from tests.support.asked_models import as_row, python_file
from tests.support.left_processes import command_line

pytestmark = pytest.mark.service

ANSWERS = "def predict(inputs): return 'here'\n"

LOADS_FOR_EVER = """
    import os, time
    def load(folder):
        open("loading", "w").close()
        time.sleep(1000)
    def predict(x): return x
"""


def deployment(folder: Path, source: str, load_seconds: float = 20.0) -> Deployment:
    """A version whose name is the folder's."""
    config = python_file(folder, source)
    return Deployment(folder.name, "python", folder, config.file, load_seconds=load_seconds)


async def _until_there(path: Path) -> None:
    async with asyncio.timeout(60):
        while not path.exists():
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    """That has little patience with loads of which nothing is told."""
    engine = Engine(load_seconds=lambda model_seconds: model_seconds + 2)
    yield engine
    await engine.close()


async def test_a_load_of_which_nothing_is_told_ends_by_its_own_limit(engine: Engine, tmp_path: Path) -> None:
    to_load = deployment(tmp_path, LOADS_FOR_EVER, load_seconds=1000.0)
    first = asyncio.create_task(engine.load(to_load))
    await _until_there(tmp_path / "loading")
    with pytest.raises(EngineUnavailable, match="has not told of load after 3 s"):
        await engine.load(replace(to_load, load_seconds=1.0))  # it waits for the one before
    first.cancel()
    await asyncio.wait({first})


async def test_a_gateway_that_hangs_while_something_loads_is_found_out(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes last: the cluster ends with its gateway."""
    with monkeypatch.context() as hurry:
        hurry.setattr("prediction.inference.engine.engine._LOOK_SECONDS", 0.5)
        hurry.setattr("prediction.inference.engine.gateway_process._GRACE_SECONDS", 1.0)
        to_load = deployment(tmp_path, LOADS_FOR_EVER, load_seconds=1000.0)
        loading = asyncio.create_task(engine.load(to_load))
        await _until_there(tmp_path / "loading")
        assert engine.state.pid is not None
        children = psutil.Process(engine.state.pid).children()
        [gateway] = [each for each in children if "-m" in command_line(each)]
        gateway.suspend()
        # Not before: one that goes on may be busy with what is loaded.
        hurry.setattr("prediction.inference.engine.engine._LOOK_PING_SECONDS", 2.0)
        with pytest.raises(EngineUnavailable, match="gateway hangs"):
            await loading
    await engine.load(deployment(tmp_path, ANSWERS))
    [answer] = decode_answers(await engine.ask(tmp_path.name, encode_request([as_row({})]), 20)).answers
    assert said_by(answer) == "here"
