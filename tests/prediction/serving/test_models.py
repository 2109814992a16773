"""Which version serves: damaged files on a disk, a store that is away, roll-back and deletion."""

import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.errors import Conflict
from common.executions.repository import ExecutionRepository
from common.models.artifacts import StoreUnavailable, identify
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry, ModelVersionNotFound
from common.models.versions import CHAMPION, ModelVersion, VersionState, read_version
from common.settings.training import TrainingSettings
from prediction.forecasts.forecast import Forecast, ForecastRequest
from prediction.kinds.online_predictor import ONLINE_PREDICTOR, ForecastQuestion
from prediction.kinds.registry import model_kinds
from prediction.serving.cache import ModelCache
from prediction.serving.models import Models
from prediction.serving.worker_pool import TimedAnswer, WorkerPool
from tests.support.registered import FILES, NAME, publish
from tests.support.synthetic import CONTEXT, make_history
from training.history.values import RunRecord
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import pretrain

WEIGHTS = "weights.safetensors"


class SometimesAway(FolderStore):
    away = False
    reads = 0

    async def read(self, key: str) -> dict[str, bytes]:
        self._must_be_there()
        self.reads += 1
        return await super().read(key)

    async def delete(self, key: str) -> None:
        self._must_be_there()
        await super().delete(key)

    def _must_be_there(self) -> None:
        if self.away:
            raise StoreUnavailable("The store is away.")


@pytest.fixture
def store(tmp_path: Path) -> SometimesAway:
    return SometimesAway(tmp_path)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout_seconds=10.0)  # starts no process before it is used
    yield pool
    await pool.close()


@pytest.fixture
def open_models(
    registry: ModelRegistry, store: SometimesAway, pool: WorkerPool, executions: ExecutionRepository
) -> Callable[[], Models]:
    """What a service holds; each has a memory of its own."""
    kinds = model_kinds(executions, TrainingSettings())

    def open_() -> Models:
        cache = ModelCache(partial(read_version, store), entries=5, size_bytes=1 << 30)
        return Models(registry, store, cache, pool, kinds)

    return open_


@pytest.fixture
def models(open_models: Callable[[], Models]) -> Models:
    return open_models()


@pytest.fixture
async def versions(registry: ModelRegistry, store: SometimesAway) -> list[ModelVersion]:
    """Three versions that have served one after the other; the last one does now."""
    return [await publish(registry, store) for _ in range(3)]


async def serving(models: Models) -> int | None:
    served = await models.find("spark", "KMeans", ONLINE_PREDICTOR)
    if served is None:
        return None
    assert served.files == FILES
    return served.version.version


async def test_files_are_sent_to_a_worker_that_has_not_read_them(
    models: Models,
    pool: WorkerPool,
    registry: ModelRegistry,
    store: SometimesAway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = pretrain(make_history(), Hyperparameters(), max_epochs=1)
    await publish(registry, store, trained.to_files())
    sent: list[bool] = []
    plain = pool.run_timed

    async def noted(function: Callable[[ForecastRequest], Any], request: ForecastRequest) -> TimedAnswer[Any]:
        sent.append(request.files is not None)
        return await plain(function, request)

    monkeypatch.setattr(pool, "run_timed", noted)
    question = ForecastQuestion(RunRecord("now", CONTEXT, 0.0), -1, 4, (2, 4))
    served = await models.find("spark", "KMeans", ONLINE_PREDICTOR)
    assert served is not None
    first, second = [await models.ask_version(served, ONLINE_PREDICTOR, question) for _ in range(2)]
    assert sent == [False, True, False]
    assert isinstance(first.answer, Forecast)
    assert len(first.answer.job_ids) > 0
    assert first.answer.remaining_seconds == second.answer.remaining_seconds


async def state_of(models: Models, number: int) -> tuple[VersionState, str]:
    version = await models.registry.get_version(NAME, number)
    return version.state, version.state_reason


def alter_a_byte(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[5000] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def truncate(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][:-1])


def lose_a_file(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def add_a_file(folder: Path) -> None:
    (folder / "code.py").write_text("import os")


DAMAGES = {
    "checksum of weights.safetensors": alter_a_byte,
    "weights.safetensors has 25599 bytes, published were 25600": truncate,
    "weights.safetensors is missing": lose_a_file,
    "code.py was not published": add_a_file,
    "There is no artifact": shutil.rmtree,
}


@pytest.mark.parametrize("reason", DAMAGES)
async def test_a_damaged_champion_is_told_and_the_one_before_serves(
    models: Models, versions: list[ModelVersion], tmp_path: Path, reason: str
) -> None:
    DAMAGES[reason](tmp_path / versions[2].artifact_key)
    assert await serving(models) == 2
    state, told = await state_of(models, 3)
    assert state is VersionState.DAMAGED
    assert reason in told
    model = await models.registry.get_model(NAME)
    assert model.champion == 2
    assert reason in model.aliases[CHAMPION].reason
    assert not models.is_cached(versions[2])
    assert models.is_cached(versions[1])


async def test_several_damaged_versions_are_skipped_in_one_go(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    for version in versions[1:]:
        truncate(tmp_path / version.artifact_key)
    assert await serving(models) == 1


async def test_where_all_are_damaged_none_serves(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    for version in versions:
        alter_a_byte(tmp_path / version.artifact_key)
    assert await serving(models) is None
    assert {(await state_of(models, number))[0] for number in (1, 2, 3)} == {VersionState.DAMAGED}
    assert await serving(models) is None
    assert await models.find("spark", "Unheard", ONLINE_PREDICTOR) is None


async def test_a_read_that_went_wrong_once_damages_nothing(
    models: Models, versions: list[ModelVersion], store: SometimesAway, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store.read

    async def wrong_at_first(key: str) -> dict[str, bytes]:
        files = await read(key)
        return {**files, WEIGHTS: b"half"} if store.reads == 1 else files

    monkeypatch.setattr(store, "read", wrong_at_first)
    assert await serving(models) == 3
    assert (await state_of(models, 3))[0] is VersionState.READY


async def test_while_the_store_is_away_what_is_in_memory_serves(
    open_models: Callable[[], Models], versions: list[ModelVersion], store: SometimesAway
) -> None:
    warm, cold = open_models(), open_models()
    assert await serving(warm) == 3
    store.away = True
    assert await serving(warm) == 3
    with pytest.raises(StoreUnavailable, match=f"Version 3 of {NAME}") as caught:
        await cold.find("spark", "KMeans", ONLINE_PREDICTOR)
    assert caught.value.status == 503
    assert "Retry-After" in caught.value.headers
    assert (await state_of(cold, 3))[0] is VersionState.READY
    store.away = False
    assert await serving(cold) == 3


@pytest.mark.parametrize("a_file_instead", [False, True])
async def test_a_folder_that_is_gone_damages_nothing(
    models: Models, versions: list[ModelVersion], tmp_path: Path, a_file_instead: bool
) -> None:
    aside = tmp_path.with_name("aside")
    tmp_path.rename(aside)
    if a_file_instead:
        tmp_path.write_text("")
    with pytest.raises(StoreUnavailable):
        await models.find("spark", "KMeans", ONLINE_PREDICTOR)
    tmp_path.unlink(missing_ok=True)
    aside.rename(tmp_path)
    assert await serving(models) == 3


async def test_a_new_champion_serves_with_the_next_request_in_every_service(
    open_models: Callable[[], Models],
    versions: list[ModelVersion],
    registry: ModelRegistry,
    store: FolderStore,
) -> None:
    one, other = open_models(), open_models()
    assert (await serving(one), await serving(other)) == (3, 3)
    await one.set_alias(NAME, CHAMPION, 1, "roll-back")
    assert (await serving(one), await serving(other)) == (1, 1)
    await publish(registry, store)
    assert (await serving(one), await serving(other)) == (4, 4)
    await registry.remove_alias(NAME, CHAMPION, "")
    assert (await serving(one), await serving(other)) == (None, None)


async def test_naming_a_version_loads_it(
    models: Models, versions: list[ModelVersion], store: SometimesAway
) -> None:
    await models.set_alias(NAME, CHAMPION, 1, "roll-back")
    assert models.is_cached(versions[0])
    store.away = True
    assert await serving(models) == 1


async def test_a_damaged_version_is_not_named(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    alter_a_byte(tmp_path / versions[0].artifact_key)
    for _ in range(2):
        with pytest.raises(Conflict, match="damaged"):
            await models.set_alias(NAME, CHAMPION, 1, "roll-back")
    assert (await state_of(models, 1))[0] is VersionState.DAMAGED
    assert await serving(models) == 3
    with pytest.raises(ModelVersionNotFound):
        await models.set_alias(NAME, CHAMPION, 4, "")


async def test_what_cannot_be_read_now_is_not_named(
    models: Models, versions: list[ModelVersion], store: SometimesAway
) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await models.set_alias(NAME, CHAMPION, 1, "roll-back")
    assert (await models.registry.get_model(NAME)).champion == 3
    assert (await state_of(models, 1))[0] is VersionState.READY


async def test_verifying_tells_damage_and_restored_files(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    assert (await models.verify(NAME, 3)).state is VersionState.READY
    assert await serving(models) == 3  # from now on in memory
    folder = tmp_path / versions[2].artifact_key
    alter_a_byte(folder)
    for _ in range(2):
        found = await models.verify(NAME, 3)
        assert found.state is VersionState.DAMAGED
        assert "checksum" in found.state_reason
    assert await serving(models) == 2
    assert not models.is_cached(versions[2])
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS])
    restored = await models.verify(NAME, 3)
    assert (restored.state, restored.state_reason) == (VersionState.READY, "")
    await models.set_alias(NAME, CHAMPION, 3, "restored")
    assert await serving(models) == 3


async def test_what_cannot_be_verified_now_stays_as_it_was(
    models: Models, versions: list[ModelVersion], store: SometimesAway, tmp_path: Path
) -> None:
    alter_a_byte(tmp_path / versions[2].artifact_key)
    await models.verify(NAME, 3)
    store.away = True
    for number, state in ((3, VersionState.DAMAGED), (2, VersionState.READY)):
        with pytest.raises(StoreUnavailable):
            await models.verify(NAME, number)
        assert (await state_of(models, number))[0] is state


async def test_a_deleted_version_leaves_memory_and_store(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    await models.set_alias(NAME, CHAMPION, 1, "roll-back")
    await models.set_alias(NAME, CHAMPION, 3, "and back")
    with pytest.raises(Conflict):
        await models.delete_version(NAME, 3)
    for _ in range(2):
        deleted = await models.delete_version(NAME, 1)
        assert deleted.state is VersionState.DELETED
    assert not models.is_cached(versions[0])
    assert not (tmp_path / versions[0].artifact_key).exists()
    assert (tmp_path / versions[2].artifact_key).exists()
    with pytest.raises(Conflict, match="deleted"):
        await models.verify(NAME, 1)
    with pytest.raises(Conflict, match="deleted"):
        await models.set_alias(NAME, CHAMPION, 1, "")


async def test_a_version_is_deleted_while_the_store_is_away(
    models: Models, versions: list[ModelVersion], store: SometimesAway, tmp_path: Path
) -> None:
    store.away = True
    assert (await models.delete_version(NAME, 1)).state is VersionState.DELETED
    store.away = False
    assert (tmp_path / versions[0].artifact_key).exists()  # until garbage is collected
    assert versions[0].artifact_key not in await models.registry.artifact_keys()


async def test_a_damaged_version_may_be_deleted(
    models: Models, versions: list[ModelVersion], tmp_path: Path
) -> None:
    truncate(tmp_path / versions[2].artifact_key)
    assert await serving(models) == 2
    assert (await models.delete_version(NAME, 3)).state is VersionState.DELETED


async def test_a_version_in_another_store_is_not_damaged(
    registry: ModelRegistry, store: SometimesAway, models: Models, tmp_path: Path
) -> None:
    """Two services that share a MongoDB, but not where models are."""
    elsewhere = FolderStore(tmp_path / "elsewhere")
    await identify(store)
    await identify(elsewhere)
    await publish(registry, elsewhere, store=elsewhere.identity)
    with pytest.raises(StoreUnavailable, match="another model store"):
        await models.find("spark", "KMeans", ONLINE_PREDICTOR)
    champion = await registry.find_champion(NAME)
    assert champion is not None
    assert champion.state is VersionState.READY
