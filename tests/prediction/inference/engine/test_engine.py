"""Versions answer in a real Ray Serve, one for all tests; whatever ends comes back, or says why."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio
from pydantic import SecretStr

from prediction.inference.engine.deployment import Deployment
from prediction.inference.engine.engine import Engine
from prediction.inference.engine.failures import EngineUnavailable, LoadFailed
from prediction.inference.model_process.frames import decode_answers, encode_request
from prediction.inference.model_process.plain import said_by
from prediction.inference.model_process.words import (
    ModelDied,
    ModelError,
    ModelFailed,
    ModelOverdue,
    ModelTooLarge,
)
from tests.support.asked_models import array, as_row, python_file
from tests.support.left_processes import all_gone, command_line, has_ended
from tests.support.onnx_files import passing_on

pytestmark = pytest.mark.service

SOURCE = """
    import os, time
    asked = []

    def predict(x, **options):
        asked.append(x)
        if x == "exit":
            os._exit(3)
        if x == "sleep":
            time.sleep(options["nap"])
        if x == "wait":
            open(options["begun"], "w").close()
            while not os.path.exists(options["until"]):
                time.sleep(0.01)
        if x == "grow":
            kept = []
            while True:
                kept.append(b"x" * (1 << 22))
                time.sleep(0.01)
        if x == "asked":
            return asked
        if x == "image":
            return options["image"].shape
        return {"pid": os.getpid(), "x": x}
"""


@pytest_asyncio.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    assert await engine.deployments() == {}
    assert not engine.state.is_running
    try:
        yield engine
    finally:
        folder = engine.state.folder
        await engine.close()
        assert folder is not None
        assert not folder.exists()
        assert await all_gone(folder)


def version(folder: Path, source: str = SOURCE, **fields: Any) -> Deployment:
    """A version whose name is the folder's, as no other test's is."""
    config = python_file(folder, source)
    defaults: dict[str, Any] = {"memory_limit_bytes": 1 << 30, "load_seconds": 20.0}
    return Deployment(folder.name, "python", folder, config.file, **defaults | fields)


async def ask(engine: Engine, name: str, x: Any, seconds: float = 20, **fields: Any) -> Any:
    frame = encode_request([as_row({"x": x, **fields})])
    (answer,) = decode_answers(await engine.ask(name, frame, seconds)).answers
    assert answer.error is None
    return said_by(answer)


async def answers_again(engine: Engine, name: str, seconds: float = 30) -> None:
    """Returns when it answers; what comes before must be said to be safe to repeat, or the model's own."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                assert (await ask(engine, name, 1))["x"] == 1
                return
            except (EngineUnavailable, ModelError):
                await asyncio.sleep(0.1)


async def test_a_version_is_loaded_and_answers_many_at_once(engine: Engine, tmp_path: Path) -> None:
    to_load = version(tmp_path)
    loaded = await engine.load(to_load)
    assert (loaded.replicas, loaded.found["functions"]) == (1, ["predict"])
    assert engine.state.is_running
    before = await engine.describe(tmp_path.name)
    assert (await engine.load(to_load)).found == loaded.found
    assert (await engine.describe(tmp_path.name))["replica"] == before["replica"]

    found = await asyncio.gather(*(ask(engine, tmp_path.name, number) for number in range(50)))
    assert [each["x"] for each in found] == list(range(50))
    image = np.zeros((500, 400, 3), "uint8")
    assert await ask(engine, tmp_path.name, "image", image=array(image)) == [500, 400, 3]
    status = (await engine.deployments())[tmp_path.name]
    assert (status.status, status.replicas, status.up, status.is_healthy) == ("RUNNING", 1, 1, True)
    await engine.unload(tmp_path.name)
    assert tmp_path.name not in await engine.deployments()
    with pytest.raises(EngineUnavailable, match="is not loaded"):
        await ask(engine, tmp_path.name, 1)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("import time\ndef load(folder): time.sleep(1000)\ndef predict(x): return x", "not loaded after 1 s"),
    ],
)
async def test_what_does_not_load_says_why_and_leaves_nothing(
    engine: Engine, tmp_path: Path, source: str, cause: str
) -> None:
    with pytest.raises(LoadFailed, match=cause) as failure:
        await engine.load(version(tmp_path, source, load_seconds=1.0))
    assert "ray" not in str(failure.value).lower()
    assert tmp_path.name not in await engine.deployments()


async def test_a_load_that_nobody_waits_for_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    source = """
        import os, time
        def load(folder):
            open("pid", "w").write(str(os.getpid()))
            time.sleep(1000)
        def predict(x): return x
    """
    loading = asyncio.create_task(engine.load(version(tmp_path, source, load_seconds=1000.0)))
    async with asyncio.timeout(30):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.1)
    loading.cancel()
    await engine.unload(tmp_path.name)
    assert tmp_path.name not in await engine.deployments()
    async with asyncio.timeout(10):
        while not has_ended(int((tmp_path / "pid").read_text())):
            await asyncio.sleep(0.1)


async def test_two_versions_answer_side_by_side(engine: Engine, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    config = passing_on(folders[1])
    onnx = Deployment("second", config.kind, config.folder, config.file)
    _, loaded = await asyncio.gather(engine.load(version(folders[0])), engine.load(onnx))
    assert loaded.found["inputs"] == [{"name": "x", "datatype": "float32", "shape": [None, 3]}]
    assert (await ask(engine, "first", 1))["x"] == 1
    assert await ask(engine, "second", [1, 2, 3]) == {"y": [1, 2, 3]}
    await engine.unload("first")
    assert await ask(engine, "second", [1, 2, 3]) == {"y": [1, 2, 3]}
    await engine.unload("second")


async def test_of_two_replicas_one_answers_when_the_other_dies(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    assert (await engine.load(version(tmp_path, replicas=2))).replicas == 2
    assert (await engine.deployments())[name].up == 2

    async def pids() -> set[int]:
        asked = (ask(engine, name, "sleep", nap=0.05) for _ in range(8))
        return {each["pid"] for each in await asyncio.gather(*asked)}

    assert len(await pids()) == 2
    os.kill((await engine.describe(name))["pid"], signal.SIGKILL)
    assert await pids()  # the other one answers all, without a failure in between
    await engine.unload(name)


async def test_a_model_that_fails_is_there_again(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path, memory_limit_bytes=200 << 20))
    replica = (await engine.describe(name))["replica"]
    failures: list[tuple[type[Exception], Any]] = [
        (ModelDied, ask(engine, name, "exit")),
        (ModelOverdue, ask(engine, name, "sleep", 0.5, nap=1000)),
        (ModelTooLarge, ask(engine, name, "grow")),
    ]
    for kind, asking in failures:
        with pytest.raises(kind):
            await asking
        assert (await ask(engine, name, 1))["x"] == 1
    os.kill((await engine.describe(name))["model_pid"], signal.SIGKILL)
    await answers_again(engine, name)
    described = await engine.describe(name)
    assert (described["replica"], described["deaths"]) == (replica, 4)
    await engine.unload(name)


async def test_a_model_that_does_not_load_again_says_so_until_it_does(engine: Engine, tmp_path: Path) -> None:
    source = """
        import os
        def load(folder):
            if os.path.exists("broken"):
                raise OSError("the weights are broken")
        def predict(x): return {"x": x} if x == 1 else os._exit(1)
    """
    name = tmp_path.name
    await engine.load(version(tmp_path, source))
    (tmp_path / "broken").touch()
    with pytest.raises(ModelDied):
        await ask(engine, name, "exit")
    with pytest.raises((ModelFailed, EngineUnavailable)):
        await ask(engine, name, 1)
    async with asyncio.timeout(30):
        while "the weights are broken" not in (await engine.deployments())[name].message:
            await asyncio.sleep(0.2)
    assert not (await engine.deployments())[name].is_healthy
    (tmp_path / "broken").unlink()
    await answers_again(engine, name, 60)
    await engine.unload(name)


async def test_who_goes_is_not_computed_for(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path))
    begun, until = tmp_path / "begun", tmp_path / "until"
    waits = {"begun": str(begun), "until": str(until)}
    slow = [asyncio.create_task(ask(engine, name, "wait", 60, **waits)) for _ in range(3)]
    async with asyncio.timeout(30):
        while not begun.exists():
            await asyncio.sleep(0.01)
    gone = asyncio.create_task(ask(engine, name, "gone", 60))
    with pytest.raises(EngineUnavailable, match="free in time"):
        await ask(engine, name, "late", 0.3)  # which came behind the one that goes
    gone.cancel()
    await asyncio.wait({gone})
    await engine.deployments()  # by then the gateway has been told
    until.touch()
    await asyncio.gather(*slow)
    assert await ask(engine, name, "asked") == ["wait", "wait", "wait", "asked"]
    await engine.unload(name)


async def test_a_replica_that_dies_is_replaced(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path))
    described = await engine.describe(name)
    asking = asyncio.create_task(ask(engine, name, "sleep", 60, nap=30))
    await asyncio.sleep(0.3)
    os.kill(described["pid"], signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(EngineUnavailable):
        await asking
    assert time.monotonic() - began < 30  # rather than after its deadline
    assert not (await engine.deployments())[name].is_healthy
    await answers_again(engine, name)
    assert has_ended(described["model_pid"])
    await ask_by_door(engine, name)  # the new one's is found
    await engine.unload(name)


async def ask_by_door(engine: Engine, name: str, seconds: float = 30) -> None:
    """Ask until a question has come by a door; replicas that nobody asks are not looked for."""
    async with asyncio.timeout(seconds):
        while not (await engine.describe(name))["came_by_door"]:
            await ask(engine, name, 1)


async def test_frames_come_by_a_door_where_a_replica_is_on_this_machine(
    engine: Engine, tmp_path: Path
) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path, replicas=2))
    async with asyncio.TaskGroup() as asking:
        for number in range(20):
            asking.create_task(ask(engine, name, number))
    described: dict[str, Any] = {}
    async with asyncio.timeout(30):
        while len(described) < 2:
            each = await engine.describe(name)
            described[each["replica"]] = each["came_by_door"]
    assert sum(described.values()) == 20
    assert all(described.values())
    await engine.unload(name)


async def test_what_a_model_has_started_ends_with_its_deployment(engine: Engine, tmp_path: Path) -> None:
    source = """
        import subprocess
        def predict(x):
            return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
    """
    await engine.load(version(tmp_path, source))
    started = psutil.Process(int(str(await ask(engine, tmp_path.name, 1))))
    await engine.unload(tmp_path.name)
    assert has_ended(started)


async def test_another_engine_finds_what_is_loaded(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path))
    before = await engine.describe(name)
    assert engine.state.folder is not None
    token = (engine.state.folder / "token").read_text()
    other = Engine(engine.state.address, token=SecretStr(token))
    try:
        assert (await ask(other, name, 1))["x"] == 1
        await other.load(version(tmp_path))
        assert (await other.describe(name))["replica"] == before["replica"]
        assert (await other.deployments())[name].up == 1
        gateway = psutil.Process(other.state.pid)
        for process in (gateway, *gateway.children(recursive=True)):
            assert token not in str(process.environ())
        await files_travel(other, tmp_path / "travelling")
    finally:
        await other.close()
    assert (await ask(engine, name, 1))["x"] == 1
    await engine.unload(name)


async def files_travel(other: Engine, folder: Path) -> None:
    """Where a cluster is not our own, replicas have the files from it."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "factor.txt").write_text("7")
    source = "def predict(x): return int(open('weights/factor.txt').read()) * x"
    await other.load(version(folder, source))
    shutil.rmtree(folder)
    assert await ask(other, folder.name, 6) == 42
    os.kill((await other.describe(folder.name))["model_pid"], signal.SIGKILL)
    async with asyncio.timeout(10):
        while (await other.describe(folder.name))["deaths"] == 0:
            await asyncio.sleep(0.05)
    assert await ask(other, folder.name, 6) == 42
    await other.unload(folder.name)


def gateway_of(engine: Engine) -> psutil.Process:
    assert engine.state.pid is not None
    (found,) = [each for each in psutil.Process(engine.state.pid).children() if "-m" in command_line(each)]
    return found


async def test_an_engine_without_its_gateway_starts_another(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path))
    before = engine.state
    assert before.folder is not None
    gateway = gateway_of(engine)
    asking = asyncio.create_task(ask(engine, name, "sleep", nap=10))
    await asyncio.sleep(0.3)
    gateway.kill()
    with pytest.raises(EngineUnavailable):
        await asking
    await answers_again(engine, name, 60)  # without another load
    assert await all_gone(before.folder)
    assert not before.folder.exists()
    assert engine.state.deaths == 1


async def test_a_gateway_that_hangs_holds_nobody_and_is_replaced(engine: Engine, tmp_path: Path) -> None:
    name = tmp_path.name
    await engine.load(version(tmp_path))
    gateway = gateway_of(engine)
    waiting = asyncio.create_task(ask(engine, name, "sleep", 600, nap=600))
    await engine.deployments()  # by then the gateway has both
    gateway.suspend()
    with pytest.raises(EngineUnavailable, match="hangs"):
        await ask(engine, name, 1, 0.5)
    with pytest.raises(EngineUnavailable, match="ended"):
        await waiting
    await answers_again(engine, name, 60)
    assert not gateway.is_running()
