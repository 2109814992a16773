"""Collecting garbage in a folder as in HDFS: what nobody needs goes, and nothing else."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import hdfs
import pytest
import pytest_asyncio

from common.models.artifacts import ArtifactStore, incomplete_name
from common.models.registry import ModelRegistry
from common.models.versions import ARTIFACTS, VersionState, new_artifact_id, read_version
from common.mongo.types import Client
from common.processes.guarded import service_identity
from tests.support.publishing.fixed_gate import FixedGate
from tests.support.publishing.publishing_child import open_store
from tests.support.registered import FILES, NAME, publish
from tests.support.samples import unique_name
from training.runs.documents import TrainingRun, TrainingState
from training.runs.garbage import collect_garbage
from training.runs.outbox import Outbox
from training.runs.publishing import Publisher, new_version
from training.runs.repository import TrainingRunRepository

pytestmark = pytest.mark.parametrize("kind", ["folder", pytest.param("hdfs", marks=pytest.mark.hdfs)])

OWNER = service_identity()
NO_DATA = {"runs": 0, "jobs": 0}
PREFIX = "pretrained_models/spark/KMeans/onlinepredictor"


@pytest_asyncio.fixture
async def runs(mongo: Client, database: str) -> TrainingRunRepository:
    repository = TrainingRunRepository(mongo, database)
    await repository.create_indexes()
    return repository


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, kind: str) -> str | None:
    return request.getfixturevalue("hdfs_endpoint") if kind == "hdfs" else None


@pytest.fixture
def hdfs_settings(endpoint: str | None) -> dict[str, str] | None:
    if endpoint is None:
        return None
    return {"hdfs_endpoint": endpoint, "hdfs_output_dir": f"/tests/{unique_name('garbage')}"}


@pytest_asyncio.fixture
async def store(hdfs_settings: dict[str, str] | None, tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    async with AsyncExitStack() as stack:
        yield await open_store(hdfs_settings, tmp_path / "store", stack)


@pytest.fixture
def begin_writing(hdfs_settings: dict[str, str] | None, tmp_path: Path) -> Callable[[str], None]:
    """Leaves of an artifact what a kill during its writing leaves."""

    def begin(key: str) -> None:
        path = f"{incomplete_name(key)}/weights.safetensors"
        if hdfs_settings is None:
            (tmp_path / "store" / path).parent.mkdir(parents=True)
            (tmp_path / "store" / path).write_bytes(b"half of")
        else:
            client = hdfs.InsecureClient(hdfs_settings["hdfs_endpoint"])
            client.write(f"{hdfs_settings['hdfs_output_dir']}/{path}", b"half of")

    return begin


@pytest.fixture
def names_in_store(hdfs_settings: dict[str, str] | None, tmp_path: Path) -> Callable[[], list[str]]:
    """Of all folders, whatever they are; not as the store itself would tell it."""

    def names() -> list[str]:
        if hdfs_settings is None:
            return sorted(path.name for path in (tmp_path / "store" / PREFIX).iterdir())
        client = hdfs.InsecureClient(hdfs_settings["hdfs_endpoint"])
        return sorted(client.list(f"{hdfs_settings['hdfs_output_dir']}/{PREFIX}"))

    return names


@pytest.fixture
def collect(
    store: ArtifactStore, runs: TrainingRunRepository, registry: ModelRegistry
) -> Callable[[], Awaitable[list[str]]]:
    return partial(collect_garbage, store, runs, registry)


Collect = Callable[[], Awaitable[list[str]]]


async def train(runs: TrainingRunRepository) -> TrainingRun:
    """A training whose model is about to be published."""
    await runs.enqueue(
        system_name="spark",
        algorithm_name="KMeans",
        model_name="onlinepredictor",
        experiment_name="tests",
        trials=1,
    )
    run = await runs.claim(OWNER)
    assert run is not None
    assert run.artifact_id is not None
    publishing = await runs.take_for_publishing(run.id, run.artifact_id, OWNER)
    assert publishing is not None
    return publishing


async def left_behind(runs: TrainingRunRepository, prefix: str = PREFIX) -> str:
    """The key of a training that has ended before its model was registered."""
    run = await train(runs)
    await runs.finish(run.id, OWNER, TrainingState.FAILED, "for a test")
    return f"{prefix}/{run.artifact_id}"


async def test_without_a_store_s_first_artifact_there_is_no_garbage(collect: Collect) -> None:
    assert await collect() == []


async def test_beside_a_version_s_artifact_nothing_of_an_interrupted_write_stays(
    store: ArtifactStore,
    runs: TrainingRunRepository,
    registry: ModelRegistry,
    collect: Collect,
    begin_writing: Callable[[str], None],
    names_in_store: Callable[[], list[str]],
) -> None:
    """HDFS may go on with what a killed service had asked for when another one has published already."""
    version = await publish(registry, store)
    begin_writing(version.artifact_key)
    writing = await train(runs)
    assert writing.artifact_id is not None
    begin_writing(f"{PREFIX}/{writing.artifact_id}")
    assert await collect() == []
    assert await store.read(version.artifact_key) == FILES
    half, whole = names_in_store()
    assert half.startswith(f".incomplete.{writing.artifact_id}")
    assert whole == version.artifact_key.rpartition("/")[2]


async def test_what_no_version_has_is_removed_complete_or_not(
    store: ArtifactStore,
    runs: TrainingRunRepository,
    registry: ModelRegistry,
    collect: Collect,
    begin_writing: Callable[[str], None],
) -> None:
    versions = [await publish(registry, store, champion=champion) for champion in (True, False, True)]
    complete, half, both = [await left_behind(runs) for _ in range(3)]
    for key in (complete, both):
        await store.write(key, FILES)
    for key in (half, both):
        begin_writing(key)
    assert sorted(await collect()) == sorted([complete, half, both])
    assert await store.keys(PREFIX, incomplete=True) == sorted(v.artifact_key for v in versions)
    for version in versions:
        assert await read_version(store, version) == FILES
    assert await collect() == []


async def test_what_another_database_knows_stays(
    store: ArtifactStore, registry: ModelRegistry, collect: Collect, begin_writing: Callable[[str], None]
) -> None:
    """Two deployments in one folder, or a database that was set up anew."""
    await publish(registry, store)
    foreign = [f"{PREFIX}/{new_artifact_id(uuid.uuid4().hex[:8])}" for _ in range(2)]
    await store.write(foreign[0], FILES)
    begin_writing(foreign[1])
    assert await collect() == []
    assert await store.read(foreign[0]) == FILES


async def test_garbage_is_found_for_every_system_algorithm_and_kind(
    store: ArtifactStore, runs: TrainingRunRepository, registry: ModelRegistry, collect: Collect
) -> None:
    folders = [
        f"{ARTIFACTS}/{path}" for path in ("spark/MPC/onlinepredictor", "spark/MPC/other", "flink/a b/x")
    ]
    garbage = [await left_behind(runs, folder) for folder in folders]
    for key in garbage:
        await store.write(key, FILES)
    kept = await publish(registry, store, algorithm_name="a b", system_name="flink", kind="x")
    assert sorted(await collect()) == sorted(garbage)
    assert await store.read(kept.artifact_key) == FILES


async def test_other_folders_of_the_store_are_none_of_its_business(
    store: ArtifactStore, collect: Collect
) -> None:
    others = ["backups/spark/KMeans/onlinepredictor/1", f"{ARTIFACTS}/notes", f"{ARTIFACTS}/spark/KMeans/x"]
    for key in others:
        await store.write(key, FILES)
    assert await collect() == []
    for key in others:
        assert await store.read(key) == FILES


async def test_what_a_training_is_about_to_register_stays_until_it_has_ended(
    store: ArtifactStore,
    runs: TrainingRunRepository,
    collect: Collect,
    begin_writing: Callable[[str], None],
) -> None:
    complete, half = [await train(runs) for _ in range(2)]
    await store.write(f"{PREFIX}/{complete.artifact_id}", FILES)
    begin_writing(f"{PREFIX}/{half.artifact_id}")
    assert await collect() == []
    await runs.finish(complete.id, OWNER, TrainingState.FAILED, "for a test")
    assert await collect() == [f"{PREFIX}/{complete.artifact_id}"]
    await runs.put_back(half.id, OWNER, "for a test")
    assert await collect() == [f"{PREFIX}/{half.artifact_id}"]


async def test_of_a_training_that_started_over_only_the_former_attempt_is_garbage(
    store: ArtifactStore, runs: TrainingRunRepository, collect: Collect
) -> None:
    former = await train(runs)
    await store.write(f"{PREFIX}/{former.artifact_id}", FILES)
    await runs.put_back(former.id, OWNER, "for a test")
    present = await runs.claim(OWNER)
    assert present is not None
    await store.write(f"{PREFIX}/{present.artifact_id}", FILES)
    assert await collect() == [f"{PREFIX}/{former.artifact_id}"]
    assert await store.keys(PREFIX) == [f"{PREFIX}/{present.artifact_id}"]


@pytest.mark.parametrize("state", [VersionState.DAMAGED, VersionState.DELETED])
async def test_only_of_a_deleted_version_what_is_left_is_garbage(
    store: ArtifactStore, registry: ModelRegistry, collect: Collect, state: VersionState
) -> None:
    await publish(registry, store)
    version = await publish(registry, store, champion=False)
    if state is VersionState.DELETED:  # the service was killed before it removed the files
        await registry.delete_version(NAME, version.version)
        assert await collect() == [version.artifact_key]
        assert len(await store.keys(PREFIX)) == 1
    else:
        await registry.set_state(NAME, version.version, VersionState.DAMAGED, "for a test")
        assert await collect() == []


@pytest.mark.parametrize("is_written", [True, False], ids=["files are there already", "from its beginning"])
async def test_between_its_readings_a_whole_publication_may_happen(
    store: ArtifactStore,
    runs: TrainingRunRepository,
    registry: ModelRegistry,
    collect: Collect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_written: bool,
) -> None:
    publisher = Publisher(runs, registry, store, FixedGate(registry), Outbox(tmp_path), 60.0)
    await publish(registry, store)

    async def prepare() -> None:
        run = await train(runs)
        await publisher.keep(new_version(run, FILES, schema_version=1, training_data=NO_DATA), FILES)
        if is_written:
            await store.write(f"{PREFIX}/{run.artifact_id}", FILES)

    async def happens() -> None:
        if not is_written:
            await prepare()
        assert await publisher.publish_all() == 0

    readings: list[str] = []
    moment = -1

    def interrupted(name: str, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def reading(*arguments: Any, **options: Any) -> Any:
            readings.append(name)
            if len(readings) - 1 == moment:
                await happens()
            return await read(*arguments, **options)

        return reading

    for owner, name in ((store, "keys"), (runs, "artifacts_in_progress"), (registry, "artifact_keys")):
        monkeypatch.setattr(owner, name, interrupted(name, getattr(owner, name)))
    await collect()
    assert set(readings) == {"keys", "artifacts_in_progress", "artifact_keys"}
    for moment in range(len(readings)):
        readings.clear()
        if is_written:
            await prepare()
        assert await collect() == []
        champion = await registry.find_champion(NAME)
        assert champion is not None
        assert champion.version == moment + 2
        assert await read_version(store, champion) == FILES


async def test_nothing_that_is_published_at_the_same_time_is_ever_garbage(
    store: ArtifactStore,
    runs: TrainingRunRepository,
    registry: ModelRegistry,
    collect: Collect,
    tmp_path: Path,
) -> None:
    """Four services publish; some trainings are taken away from them; garbage is collected all the time."""
    publishers, trained = [], []
    for name in ("one", "two", "three", "four"):
        outbox = Outbox(tmp_path / name)
        gate = FixedGate(registry)
        publishers.append(Publisher(runs, registry, store, gate, outbox, heartbeat_seconds=60.0))
        for _ in range(9):
            run = await train(runs)
            await outbox.put(new_version(run, FILES, schema_version=1, training_data=NO_DATA), FILES)
            trained.append(run)

    async def publish_all(publisher: Publisher) -> None:
        # Some have to wait: files of a training that was taken away vanish while they are written.
        while await publisher.publish_all():
            await asyncio.sleep(0.01)

    async def take_away() -> None:
        for run in trained[::4]:
            await asyncio.sleep(0.05 * random.random())
            await runs.put_back(run.id, OWNER, "for a test")

    collected: list[str] = []

    async def collect_always() -> None:
        while True:
            collected.extend(await collect())

    collecting = [asyncio.create_task(collect_always()) for _ in range(2)]
    taking = asyncio.create_task(take_away())
    try:
        await asyncio.gather(taking, *map(publish_all, publishers))
    finally:
        for task in collecting:
            task.cancel()
        await asyncio.gather(*collecting, return_exceptions=True)

    versions = await registry.versions(NAME, limit=100)
    assert len(versions) >= 27
    for version in versions:
        assert await read_version(store, version) == FILES
    await collect()
    assert await store.keys(PREFIX, incomplete=True) == sorted(await registry.artifact_keys())
    assert not await registry.artifact_keys() & set(collected)
