"""Full and read-only disks under each writer: a reason, nothing half written, and with room on it goes."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.executions.repository import ExecutionRepository
from common.models.artifacts import StoreUnavailable
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from submission.environments.documents import EnvironmentState
from submission.local.runner import LocalSparkRunner
from tests.support.disks import Disk, small_disk
from tests.support.doubles import Recorder
from tests.support.environments import SMALL, Made
from tests.support.finished_runs import store_history
from tests.support.manifests import runnable_manifest
from tests.support.services import failing_start, service_in_process
from training.promotion.gate import PromotionGate
from training.runs.documents import TrainingState
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import TrainingSupervisor

MIB = 1 << 20

Fault = Callable[[Disk], Callable[[], None]]
"""Brings it about; returns what ends it."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def full(disk: Disk) -> Callable[[], None]:
    disk.fill()
    return disk.make_room


def nearly_full(disk: Disk) -> Callable[[], None]:
    """Room for the first files, not for all."""
    disk.fill(MIB)
    return disk.make_room


def read_only(disk: Disk) -> Callable[[], None]:
    disk.read_only()
    return lambda: disk.read_only(False)


FAULTS = pytest.mark.parametrize(("fault", "words"), [(full, "full"), (read_only, "read-only")])


@pytest.mark.parametrize("fault", [full, nearly_full, read_only])
async def test_a_store_of_models_keeps_all_of_an_artifact_or_nothing(disk: Disk, fault: Fault) -> None:
    store = FolderStore(disk.folder / "models")
    await store.write("a/before", {"model": b"x"})
    before = await store.keys("a")
    end_of_fault = fault(disk)
    files = {"first": bytes(MIB // 2), "second": bytes(2 * MIB)}
    for write in (store.write, store.keep):
        with pytest.raises(StoreUnavailable, match=r"No space left|Read-only"):
            await write("a/new", files)
    assert await store.keys("a") == before
    assert [path.name for path in (disk.folder / "models" / "a").iterdir()] == ["before"]
    assert await store.read("a/before") == {"model": b"x"}
    end_of_fault()
    await store.write("a/new", files)
    assert await store.read("a/new") == files


@FAULTS
async def test_a_training_says_that_there_was_no_room_and_the_next_one_runs(
    disk: Disk,
    fault: Fault,
    words: str,
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    registry: ModelRegistry,
) -> None:
    settings = TrainingSettings(training_heartbeat_seconds=0.3)
    runs, kinds = TrainingRunRepository(mongo, database), model_kinds(executions, settings)
    store = FolderStore(disk.folder / "models")
    gate = PromotionGate(registry, store, kinds, disk.folder / "training")
    publisher = Publisher(runs, registry, store, gate, Outbox(disk.folder), 0.3)
    supervisor = TrainingSupervisor(runs, registry, kinds, publisher, settings, disk.folder)
    await store_history(executions)
    asked = {"system_name": "spark", "algorithm_name": "KMeans", "model_name": "onlinepredictor"}
    first = await runs.enqueue(**asked, experiment_name="x", trials=1)
    end_of_fault = fault(disk)
    await supervisor._turn()
    failed = await runs.get(first.id)
    assert failed.state is TrainingState.FAILED
    assert failed.detail.startswith(f"DATA_DIR: its disk is {words}")
    end_of_fault()
    second = await runs.enqueue(**asked, experiment_name="x", trials=1)
    working = asyncio.create_task(supervisor._turn())
    while not (disk.folder / "training" / second.id / "request.json").exists():
        await asyncio.sleep(0.05)
    assert (await runs.get(second.id)).state is TrainingState.RUNNING
    working.cancel()
    await asyncio.wait({working})


@FAULTS
async def test_an_application_whose_log_has_no_room_is_not_submitted(
    disk: Disk, fault: Fault, words: str
) -> None:
    recorder = Recorder()
    runner = LocalSparkRunner(disk.folder / "spark", recorder, cores=1, memory="1g")
    end_of_fault = fault(disk)
    try:
        await runner.start(runnable_manifest("e-1"), "e-1")
        await runner._active["e-1"].ended.wait()
        state, reason = recorder.latest("e-1")
        assert state == "SUBMISSION_FAILED"
        assert reason.startswith(f"DATA_DIR: its disk is {words}")
    finally:
        end_of_fault()
        await runner.aclose()


@FAULTS
async def test_an_environment_without_room_fails_with_the_reason(
    disk: Disk, fault: Fault, words: str, mongo: Client, database: str
) -> None:
    made = Made(mongo, database, FolderStore(disk.folder / "models"), disk.folder / "environments")
    asked = await made.ensure(SMALL)
    end_of_fault = fault(disk)
    await made.builder._turn()
    environment = await made.repository.get(asked.id)
    end_of_fault()
    assert environment.state is EnvironmentState.FAILED
    assert environment.state_reason.startswith(f"DATA_DIR: its disk is {words}")


async def test_files_of_workspaces_are_refused_until_there_is_room(disk: Disk, mongo_uri: str) -> None:
    async with service_in_process(mongo_uri, disk.folder) as client:
        assert (await client.put("/workspaces/w")).status_code == 201
        content = bytes(MIB)
        disk.fill()
        refused = await client.put("/workspaces/w/files/a", content=content)
        assert refused.status_code == 503, refused.text
        assert "No space left" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        assert (await client.get("/workspaces/w/files/a")).status_code == 404
        assert (await client.get("/submission/applications")).status_code == 200
        disk.make_room()
        assert (await client.put("/workspaces/w/files/a", content=content)).status_code in (200, 201)
        assert (await client.get("/workspaces/w/files/a")).content == content


@pytest.mark.service
async def test_a_read_only_folder_stops_the_start(disk: Disk, tmp_path: Path, mongo_uri: str) -> None:
    (disk.folder / "data").mkdir()
    disk.read_only()
    given = {"DATA_DIR": str(disk.folder / "data"), "MONGODB_ENDPOINT": mongo_uri}
    code, message = await failing_start(tmp_path / "log", **given)
    assert code == 2
    assert "Enel Service cannot start: DATA_DIR: " in message
    assert "Read-only" in message
