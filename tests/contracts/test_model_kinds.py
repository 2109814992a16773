"""What holds for every kind of model: `prediction.kinds.kind`, `training.kinds`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from common.executions.repository import ExecutionRepository
from common.loops import running
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion
from common.mongo.types import Client
from common.settings.training import TrainingSettings
from prediction.kinds.kind import ModelKind
from prediction.kinds.registry import KINDS, model_kinds
from prediction.serving.worker_pool import WorkerFailed, WorkerPool
from tests.support.finished_runs import JOBS, SCALE_OUTS, store_history
from tests.support.registered import publish
from tests.support.samples import unique_name
from training.kinds import ComparisonFailed, Files, Kinds, TrainingFailed
from training.promotion.gate import PromotionGate
from training.runs.documents import TrainingRun, TrainingState
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.supervisor import TrainingSupervisor

EVERY_KIND = range(len(KINDS))
DAMAGES = ("no files", "files cut short", "empty files")
COMPARED = (*DAMAGES[:-1], pytest.param(DAMAGES[-1], marks=pytest.mark.long))
"""Of which two versions are compared, each time in a process of its own."""


@dataclass(frozen=True)
class Trained:
    """A kind, and the first version that a training of four runs came to."""

    kind: ModelKind
    run: TrainingRun
    version: ModelVersion
    files: Files

    def next_version(self) -> ModelVersion:
        """The same model once more, as the next version."""
        number = self.version.version + 1
        return self.version.model_copy(
            update={"version": number, "id": f"{self.version.name}/{number}", "promotion": None}
        )


@pytest.fixture(scope="module")
async def kinds(mongo: Client) -> AsyncIterator[Kinds[ModelKind]]:
    database = unique_name("kinds")
    executions = ExecutionRepository(mongo, database)
    await executions.create_indexes()
    await store_history(executions)
    yield model_kinds(
        executions, TrainingSettings(training_heartbeat_seconds=0.3, training_concurrent_trials=1)
    )
    await mongo.drop_database(database)


@pytest.fixture(scope="module", params=EVERY_KIND, ids=lambda number: KINDS[number].__name__)
def kind(kinds: Kinds[ModelKind], request: pytest.FixtureRequest) -> ModelKind:
    found: ModelKind = list(kinds)[request.param]
    return found


@pytest.fixture(scope="module")
async def trained(
    kind: ModelKind, kinds: Kinds[ModelKind], mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Trained]:
    """By what trains in a service, in a real child process."""
    folder, database = tmp_path_factory.mktemp(kind.name), unique_name("trained")
    runs, registry = TrainingRunRepository(mongo, database), ModelRegistry(mongo, database)
    await registry.create_indexes()
    store = FolderStore(folder / "models")
    gate = PromotionGate(registry, store, kinds, folder / "training")
    publisher = Publisher(runs, registry, store, gate, Outbox(folder), 0.3)
    settings = TrainingSettings(training_heartbeat_seconds=0.3, training_concurrent_trials=1)
    supervisor = TrainingSupervisor(runs, registry, kinds, publisher, settings, folder)
    queued = await runs.enqueue(
        system_name="spark",
        algorithm_name="KMeans",
        model_name=kind.name,
        experiment_name="tests",
        trials=1,
    )
    async with running([supervisor.loop(), *publisher.loops()]):
        while not (run := await runs.get(queued.id)).state.is_final:
            await asyncio.sleep(0.1)
    assert run.state is TrainingState.SUCCEEDED, run.detail
    assert run.result is not None
    version = await registry.find_by_artifact(run.result.artifact_key)
    assert version is not None
    yield Trained(kind, run, version, await store.read(version.artifact_key))
    await mongo.drop_database(database)


@pytest.fixture(scope="module")
async def pool(kind: ModelKind) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout_seconds=120.0, prepare=[kind.prepare_worker])
    yield pool
    await pool.close()


def damaged(files: Files, damage: str) -> Files:
    if damage == "no files":
        return {}
    share = 0.5 if damage == "files cut short" else 0.0
    return {name: content[: int(len(content) * share)] for name, content in files.items()}


def test_names_are_one_segment_of_a_path_each(kinds: Kinds[ModelKind]) -> None:
    names = [kind.name for kind in kinds]
    assert len(set(names)) == len(names) == len(KINDS)
    assert not [name for name in names if not name.isidentifier()]


def test_what_a_kind_says_of_itself(kind: ModelKind) -> None:
    assert find_spec(kind.module) is not None
    assert min(kind.default_trials, kind.most_runs) >= 1


async def test_what_is_learned_from_is_json_and_told(kind: ModelKind) -> None:
    material = await kind.collect("spark", "KMeans", trials=3, champion=None)
    assert json.loads(json.dumps(material.request, allow_nan=False))
    told = material.training_data
    assert (told.runs, told.jobs) == (len(SCALE_OUTS), len(SCALE_OUTS) * JOBS)
    assert len(told.run_ids) == told.runs
    assert told.held_out_run_ids == []


async def test_without_a_history_there_is_nothing_to_learn_from(kind: ModelKind) -> None:
    with pytest.raises(TrainingFailed, match="history"):
        await kind.collect("spark", "Unheard", trials=3, champion=None)


async def test_runs_that_are_held_out_are_not_learned_from(kind: ModelKind, trained: Trained) -> None:
    known = trained.version.training_data.run_ids[:1]
    data = trained.version.training_data.model_copy(update={"run_ids": known})
    champion = trained.version.model_copy(update={"training_data": data})
    material = await kind.collect("spark", "KMeans", trials=3, champion=champion)
    told = material.training_data
    assert told.run_ids
    assert not set(told.run_ids) & set(told.held_out_run_ids)


def test_a_training_ends_as_a_version_that_serves(trained: Trained) -> None:
    kind, version, result = trained.kind, trained.version, trained.run.result
    assert version.name == f"spark.KMeans.{kind.name}"
    assert f"/KMeans/{kind.name}/" in version.artifact_key
    assert (version.kind, version.version) == (kind.name, 1)
    assert version.promotion is not None
    assert (version.promotion.promoted, version.promotion.method) == (True, "first_version")
    assert version.training_data.runs == trained.run.history_runs == len(SCALE_OUTS)
    assert trained.run.history_jobs == len(SCALE_OUTS) * JOBS
    assert result is not None
    assert result.validation == version.validation


async def test_files_are_read_back_in_a_worker(trained: Trained, pool: WorkerPool) -> None:
    work = trained.kind.preload(trained.files, trained.version.artifact_key)
    for _ in range(2):
        await pool.run(work.function, work.request)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_files_are_refused_and_cost_no_worker(
    trained: Trained, pool: WorkerPool, damage: str
) -> None:
    work = trained.kind.preload(damaged(trained.files, damage), f"key of {damage}")
    with pytest.raises(ValueError, match=r".") as refused:
        work.function(work.request)
    replaced = pool.counts.replacements
    with pytest.raises(WorkerFailed) as told:
        await pool.run(work.function, work.request)
    assert str(told.value) == f"{type(refused.value).__name__}: {refused.value}"
    assert pool.counts.replacements == replaced


async def test_a_version_is_no_worse_than_itself(trained: Trained, tmp_path: Path) -> None:
    promotion = await trained.kind.compare(
        trained.version, trained.next_version(), trained.files, trained.files, tmp_path / "comparison"
    )
    assert promotion.promoted
    assert promotion.champion_error == promotion.version_error
    assert promotion.reason.endswith(".")
    assert promotion.method
    assert not (tmp_path / "comparison").exists()


@pytest.mark.parametrize("damage", COMPARED)
async def test_a_champion_that_cannot_be_used_gives_way(
    trained: Trained, tmp_path: Path, damage: str
) -> None:
    champion_files = damaged(trained.files, damage)
    promotion = await trained.kind.compare(
        trained.version, trained.next_version(), champion_files, trained.files, tmp_path / "comparison"
    )
    assert promotion.promoted
    assert promotion.method == "champion_unreadable"


@pytest.mark.parametrize("damage", COMPARED)
async def test_a_candidate_that_cannot_be_used_is_no_rival(
    trained: Trained, tmp_path: Path, damage: str
) -> None:
    files = damaged(trained.files, damage)
    with pytest.raises(ComparisonFailed, match=r"."):
        await trained.kind.compare(
            trained.version, trained.next_version(), trained.files, files, tmp_path / "comparison"
        )
    assert not (tmp_path / "comparison").exists()


async def test_a_comparison_that_is_cancelled_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    comparing = asyncio.create_task(
        trained.kind.compare(
            trained.version, trained.next_version(), trained.files, trained.files, tmp_path / "comparison"
        )
    )
    await asyncio.sleep(0.05)
    comparing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await comparing
    assert not (tmp_path / "comparison").exists()


async def test_a_training_of_an_unknown_kind_is_refused(service: httpx.AsyncClient) -> None:
    request = {"algorithm_name": "KMeans", "model_name": "oracle"}
    answer = await service.post("/training/trigger_model_training", json=request)
    problem = answer.json()
    assert (answer.status_code, problem["title"]) == (400, "Unknown model name")
    assert problem["detail"].startswith("model_name is 'oracle'; known: onlinepredictor")


async def test_a_model_of_a_kind_that_only_a_newer_service_knows_is_listed(
    service: httpx.AsyncClient, mongo: Client
) -> None:
    registry = ModelRegistry(mongo, service.database)  # type: ignore[attr-defined]
    store = FolderStore(service.data_dir / "models")  # type: ignore[attr-defined]
    algorithm = unique_name("Foreseen")
    version = await publish(registry, store, kind="oracle", algorithm_name=algorithm)
    listed = (await service.get("/models", params={"algorithm_name": algorithm})).json()["items"]
    assert [(model["kind"], model["champion"]) for model in listed] == [("oracle", 1)]
    for path in ("", "/versions", "/versions/1"):
        assert (await service.get(f"/models/{version.name}{path}")).status_code == 200
    assert (await service.post(f"/models/{version.name}/versions/1/verify")).json()["state"] == "READY"
    assert (await service.get(f"/preload/{algorithm}")).status_code == 404
