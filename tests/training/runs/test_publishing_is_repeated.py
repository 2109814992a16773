"""Publishing begins anew after interruptions and failures of the service's own disk."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from common.executions.repository import ExecutionRepository
from common.loops import running
from common.models.artifacts import ArtifactDamaged, StoreUnavailable
from common.models.registry import ModelRegistry
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.registry import model_kinds
from tests.support.publishing.publishing_service import Service
from tests.support.registered import FILES, new_version
from training.runs.documents import TrainingState
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import TrainingSupervisor


@pytest_asyncio.fixture
async def runs(mongo: Client, database: str) -> TrainingRunRepository:
    repository = TrainingRunRepository(mongo, database)
    await repository.create_indexes()
    return repository


@pytest.fixture
def service(runs: TrainingRunRepository, registry: ModelRegistry, tmp_path: Path) -> Service:
    return Service(runs, registry, tmp_path)


def supervisor_of(
    service: Service, executions: ExecutionRepository, publisher: Publisher
) -> TrainingSupervisor:
    settings = TrainingSettings()
    kinds = model_kinds(executions, settings)
    return TrainingSupervisor(service.runs, service.registry, kinds, publisher, settings, service.data_dir)


# --- attempts that were cut short ---------------------------------------------------------------


async def test_files_that_an_interrupted_attempt_has_published_are_used(service: Service) -> None:
    run, new = await service.train()
    await service.store.write(new.artifact_key, FILES)
    weights = service.data_dir / "store" / new.artifact_key / "weights.safetensors"
    before = weights.stat()
    assert await service.publisher().publish_all() == 0
    assert (weights.stat().st_ino, weights.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    assert await service.stored() == [new.artifact_key]


@pytest.mark.parametrize("damage", ["other content", "a missing file", "a further file"])
async def test_files_that_were_damaged_before_the_registration_are_replaced(
    service: Service, damage: str
) -> None:
    run, new = await service.train()
    damaged = {
        "other content": {**FILES, "weights.safetensors": b"\0" * len(FILES["weights.safetensors"])},
        "a missing file": {"model.json": FILES["model.json"]},
        "a further file": {**FILES, "surplus": b""},
    }
    await service.store.write(new.artifact_key, damaged[damage])
    assert await service.publisher().publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    assert await service.store.read(new.artifact_key) == FILES


async def test_however_often_it_is_published_an_artifact_is_one_version(service: Service) -> None:
    run, new = await service.train()
    for _ in range(3):
        assert await service.publisher().publish_all() == 0
        await service.outbox.put(new, FILES)
    await service.publisher().publish_all()
    assert await service.numbers() == [1]
    assert service.gate.judged == 1
    assert await service.stored() == [new.artifact_key]
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED


async def test_a_transaction_that_a_kill_has_cut_short_delays_publishing_but_not_the_start(
    service: Service, mongo: Client, mongo_uri: str, database: str
) -> None:
    run, _ = await service.train()
    impatient: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo_uri, tz_aware=True, timeoutMS=500)
    runs, registry = TrainingRunRepository(impatient, database), ModelRegistry(impatient, database)
    publisher = Service(runs, registry, service.data_dir).publisher()
    async with mongo.start_session() as session:
        await session.start_transaction()
        changes = {"$set": {"detail": "half of a change"}}
        await mongo[database]["training_run"].update_one({"_id": run.id}, changes, session=session)
        await publisher.claim()
        with pytest.raises(PyMongoError):
            await publisher.publish_all()
        await session.abort_transaction()
    await impatient.close()
    assert await service.publisher().publish_all() == 0
    assert (await service.runs.get(run.id)).state is TrainingState.SUCCEEDED
    assert await service.numbers() == [1]


# --- the service's own disk ---------------------------------------------------------------------


async def test_a_damaged_model_is_dropped_and_its_training_starts_over(
    service: Service, executions: ExecutionRepository
) -> None:
    run, new = await service.train()
    weights = service.data_dir / "outbox" / new.artifact_id / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    publisher = service.publisher()
    await publisher.claim()
    assert await publisher.publish_all() == 0
    assert await publisher.kept() == set()
    assert await service.numbers() == await service.stored() == []
    await supervisor_of(service, executions, publisher).recover_dead()
    run = await service.runs.get(run.id)
    assert (run.state, run.artifact_id) == (TrainingState.QUEUED, None)


@pytest.mark.parametrize("name", ["publication.json", "model.json"])
async def test_a_model_is_damaged_where_one_of_its_files_is_missing_or_unreadable(
    service: Service, name: str
) -> None:
    _, new = await service.train()
    file = service.data_dir / "outbox" / new.artifact_id / name
    file.write_bytes(b"{}{}")
    with pytest.raises(ArtifactDamaged):
        await service.outbox.get(new.artifact_id)
    file.unlink()
    with pytest.raises(ArtifactDamaged):
        await service.outbox.get(new.artifact_id)


async def test_a_model_that_waits_is_not_trained_again(
    service: Service, executions: ExecutionRepository
) -> None:
    service.store.away = True
    run, _ = await service.train()
    publisher = service.publisher()
    assert await publisher.publish_all() == 1
    await supervisor_of(service, executions, publisher).recover_dead()
    assert (await service.runs.get(run.id)).state is TrainingState.PUBLISHING


async def test_a_training_whose_model_cannot_be_kept_has_failed(
    service: Service, executions: ExecutionRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def train(*_: object) -> tuple[object, object]:
        return new_version(), FILES

    async def put(*_: object) -> None:
        raise StoreUnavailable("The folder of models cannot be written to: No space left on device.")

    monkeypatch.setattr(TrainingSupervisor, "_train", train)
    monkeypatch.setattr(Outbox, "put", put)
    supervisor = supervisor_of(service, executions, service.publisher())
    run_id = await service.queue_training()
    async with running([supervisor.loop()]), asyncio.timeout(10):
        while not (run := await service.runs.get(run_id)).state.is_final:
            await asyncio.sleep(0.05)
    assert run.state is TrainingState.FAILED
    assert "cannot be kept: The folder of models cannot be written to" in run.detail


async def test_looking_into_the_outbox_disturbs_nothing_that_is_being_kept(service: Service) -> None:
    publisher = service.publisher()
    models = [new_version() for _ in range(40)]

    async def keep_all() -> None:
        for new in models:
            await publisher.keep(new, FILES)

    keeping = asyncio.create_task(keep_all())
    while not keeping.done():
        await publisher.kept()
    await keeping
    assert await publisher.kept() == {new.artifact_id for new in models}
    for new in models:
        assert await service.outbox.get(new.artifact_id) == (new, FILES)


async def test_a_start_removes_what_an_interrupted_one_has_half_kept(service: Service) -> None:
    run, new = await service.train()
    half = service.data_dir / "outbox" / ".incomplete.20261121T101500Z-3f9a1c07"
    half.mkdir()
    (half / "model.json").write_bytes(b"{")
    await service.publisher().claim()
    assert not half.exists()
    assert await service.outbox.items() == [new.artifact_id]
    assert (await service.runs.get(run.id)).state is TrainingState.PUBLISHING
