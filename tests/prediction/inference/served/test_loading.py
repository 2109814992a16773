"""Versions come to answer, are given up, and end: a real engine, real processes, a real MongoDB."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from common.models.folder import FolderStore
from common.models.versions import ModelVersion
from common.mongo.embedded import embedded_mongod
from common.mongo.types import Client
from prediction.inference.engine.engine import Engine
from prediction.inference.queue.batching import RowAnswer
from prediction.inference.served.documents import ServingOptions
from prediction.inference.served.files import LocalFiles
from prediction.inference.served.kinds import VersionNotServable
from prediction.inference.served.leases import Leases
from prediction.inference.served.loading import LoadedVersion, Loading
from tests.support.asked_models import as_row
from tests.support.left_processes import has_ended, mongod_of
from tests.support.samples import unique_name
from tests.support.served_versions import Environments, stored_version
from tests.support.teams_models import linear_onnx

pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]

WHO = """
import os
import time

def predict(inputs):
    time.sleep(inputs.get("nap", 0))
    return os.getpid()
"""

SLOW = """
import os
import time

def load(folder):
    open({path!r}, "w").write(str(os.getpid()))
    time.sleep(1000)

def predict(inputs):
    return 1
"""


@pytest_asyncio.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    yield engine
    await engine.close()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def files(store: FolderStore, tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files", store, Environments(), 1)


@pytest.fixture
def loading(engine: Engine, files: LocalFiles) -> Loading:
    return Loading(engine, files, None, python_is_allowed=True)


async def of_python(store: FolderStore, number: int, source: str = WHO) -> ModelVersion:
    return await stored_version(store, number, {"predict.py": dedent(source).encode()})


async def ask(loaded: LoadedVersion, **inputs: Any) -> int:
    [answer] = await loaded.batcher.answer([as_row(inputs)], 60)
    assert isinstance(answer, RowAnswer), answer
    return int(answer.value)


async def test_a_load_that_is_given_up_leaves_neither_process_nor_files_in_use(
    engine: Engine, loading: Loading, files: LocalFiles, store: FolderStore, tmp_path: Path
) -> None:
    told = tmp_path / "pid"
    version = await of_python(store, 1, SLOW.format(path=str(told)))
    task = asyncio.create_task(loading.load(version, ServingOptions()))
    while not (told.is_file() and told.read_text()):
        await asyncio.sleep(0.05)
    assert await files.make_room() == [], "it is on its way"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await loading.close()
    assert await engine.deployments() == {}
    while not has_ended(int(told.read_text())):  # its guard ends it when its replica is gone
        await asyncio.sleep(0.05)
    assert len(await files.make_room()) == 1


async def test_who_waits_for_an_answer_is_waited_for_as_they_were_promised(
    engine: Engine, loading: Loading, store: FolderStore
) -> None:
    version = await of_python(store, 2)
    patient = ServingOptions(time_limit_seconds=30)
    loaded = await loading.load(version, patient)
    hasty = patient.model_copy(update={"time_limit_seconds": 0.1})
    assert loading.is_as(loaded, hasty)
    assert loaded.batcher.limits.compute_seconds == 30, "a question changes nothing"
    with loaded.being_asked():
        asked = asyncio.create_task(ask(loaded, nap=3))
        await asyncio.sleep(0.5)
    loading.take_over(loaded, hasty)
    assert loaded.batcher.limits.compute_seconds == 0.1
    await loading.unload(loaded)
    assert await asked
    assert await engine.deployments() == {}


async def test_what_is_served_again_while_it_ends_is_there(loading: Loading, store: FolderStore) -> None:
    version = await of_python(store, 3)
    before = await loading.load(version, ServingOptions())
    ending = asyncio.create_task(loading.unload(before))
    again = await loading.load(version, ServingOptions())
    await ending
    assert loading.loaded == [again]
    assert await ask(again)
    await loading.unload(again)


async def test_a_version_is_loaded_once_after_the_end_of_the_gateway(
    engine: Engine, loading: Loading, store: FolderStore
) -> None:
    loaded = await loading.load(await of_python(store, 4), ServingOptions())
    before = await ask(loaded)
    deaths = engine.state.deaths
    assert engine.state.pid is not None
    for process in psutil.Process(engine.state.pid).children():
        process.kill()
    answers = await asyncio.gather(*(ask(loaded) for _ in range(5)))
    assert len(set(answers) - {before}) == 1, "one process, for all who wait"
    assert engine.state.deaths == deaths + 1
    await loading.unload(loaded)


async def test_labels_that_do_not_fit_the_output_are_refused_at_loading(
    engine: Engine, loading: Loading, files: LocalFiles, store: FolderStore
) -> None:
    signature = {
        "inputs": {"features": {"type": "array", "shape": [2]}},
        "output": {"scores": "scores", "labels": ["no", "yes"]},
    }
    weights = {2: [[1, 0], [0, 1]], 3: [[1, 0, 0], [0, 1, 0]]}
    for size, each in weights.items():
        model = {"model.onnx": linear_onnx(each, [0] * size)}
        version = await stored_version(store, 10 + size, model, signature=signature)
        if size == 2:
            await loading.unload(await loading.load(version, ServingOptions()))
            continue
        with pytest.raises(VersionNotServable, match="2 labels for 3 scores of scores"):
            await loading.load(version, ServingOptions())
    await loading.close()
    assert await engine.deployments() == {}
    assert loading.loaded == []
    assert len(await files.make_room()) == 2


async def test_a_version_that_answers_otherwise_than_its_checks_say_does_not_take_over(
    engine: Engine, loading: Loading, store: FolderStore
) -> None:
    features = {"features": {"type": "array", "shape": [2]}}
    model = {"model.onnx": linear_onnx([[1, 0], [0, 2]], [0, 0.5])}
    checks = [
        {"inputs": {"features": [1, 2]}, "answer": {"scores": [1, 4.5]}},
        {"inputs": {"features": [3, 4]}, "answer": {"scores": [3.0001, 8.5]}},
    ]
    good = await stored_version(store, 20, model, signature={"inputs": features, "checks": checks})
    await loading.unload(await loading.load(good, ServingOptions()))

    checks[1]["answer"] = {"scores": [3, 9]}
    other = await stored_version(store, 21, model, signature={"inputs": features, "checks": checks})
    with pytest.raises(VersionNotServable, match=r"checks\[1\]: answer.scores\[1\] is 8.5 instead of 9; "):
        await loading.load(other, ServingOptions())
    checks[1]["inputs"] = {"features": [3]}
    misfit = await stored_version(store, 22, model, signature={"inputs": features, "checks": checks})
    with pytest.raises(VersionNotServable, match=r"checks\[1\]: features"):
        await loading.load(misfit, ServingOptions())

    failing = {"predict.py": b"def predict(inputs):\n    return {'share': 1 / inputs['by']}\n"}
    signature = {"checks": [{"inputs": {"by": 4}, "answer": {"share": 0.25}}]}
    version = await stored_version(store, 23, failing, signature=signature)
    await loading.unload(await loading.load(version, ServingOptions()))
    signature["checks"].append({"inputs": {"by": 0}, "answer": {"share": 0}})
    version = await stored_version(store, 24, failing, signature=signature)
    with pytest.raises(VersionNotServable, match=r"checks\[1\]: .*ZeroDivisionError"):
        await loading.load(version, ServingOptions())
    await loading.close()
    assert [each for each in asyncio.all_tasks() if each.get_name().startswith("rows of")] == []
    assert await engine.deployments() == {}
    assert loading.loaded == []


async def test_a_lease_that_cannot_be_renewed_is_told_and_ends_nothing(
    engine: Engine, files: LocalFiles, store: FolderStore, tmp_path: Path
) -> None:
    async with embedded_mongod(tmp_path / "mongod") as uri:
        client: Client = AsyncMongoClient(uri, tz_aware=True, timeoutMS=1000)
        leases = Leases(client, unique_name("leases"), "one", seconds=2.0)
        loading = Loading(engine, files, leases, python_is_allowed=True)
        loaded = await loading.load(await of_python(store, 5), ServingOptions())
        await loading.renew_leases()
        mongod = mongod_of(tmp_path / "mongod")
        os.kill(mongod.pid, signal.SIGSTOP)
        try:
            while not loading.lease_problem:
                with pytest.raises(PyMongoError):
                    await loading.renew_leases()
            assert "lease has run out" in loading.lease_problem
            assert await ask(loaded)
        finally:
            os.kill(mongod.pid, signal.SIGCONT)
        while loading.lease_problem:
            try:
                await loading.renew_leases()
            except PyMongoError:
                await asyncio.sleep(0.1)
        await loading.unload(loaded)
        assert await engine.deployments() == {}
        await client.close()


async def test_what_others_use_is_left_to_them(
    engine: Engine, files: LocalFiles, store: FolderStore, mongo: Client
) -> None:
    database = unique_name("leases")
    one, other = (
        Loading(engine, files, Leases(mongo, database, name), python_is_allowed=True)
        for name in ("one", "other")
    )
    version = await of_python(store, 6)
    ours, theirs = await one.load(version, ServingOptions()), await other.load(version, ServingOptions())
    assert await ask(ours) == await ask(theirs)
    who = await ask(ours)
    await one.unload(ours)
    assert await ask(theirs) == who
    await other.unload(theirs)
    assert json.dumps(sorted(await engine.deployments())) == "[]"


async def test_what_a_dead_service_has_left_ends_and_nothing_else(
    engine: Engine, files: LocalFiles, store: FolderStore, mongo: Client
) -> None:
    database = unique_name("leases")
    dead, alive, looking = (
        Loading(engine, files, Leases(mongo, database, name, seconds=seconds), python_is_allowed=True)
        for name, seconds in (("dead", 0.1), ("alive", 60), ("looking", 0.1))
    )
    left = await dead.load(await of_python(store, 7), ServingOptions())
    used = await alive.load(await of_python(store, 8), ServingOptions())
    nobodys = replace(used.deployment, name="of-another-program")
    await engine.load(nobodys)

    staying = {used.deployment.name, nobodys.name}
    while set(await engine.deployments()) != staying:
        assert set(await engine.deployments()) == staying | {left.deployment.name}
        await looking.end_abandoned()
        await asyncio.sleep(0.1)
    await looking.end_abandoned()
    assert set(await engine.deployments()) == staying
    assert await ask(used)
    await alive.unload(used)
    await engine.unload(nobodys.name)
