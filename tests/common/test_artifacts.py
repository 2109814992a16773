"""What every artifact store does; so far there is one."""

import asyncio
from pathlib import Path

import pytest

from common.artifacts import ArtifactNotFound, ArtifactStore, FolderStore, InvalidArtifactKey
from prediction.model_cache import ModelCache

KEY = "pretrained_models/spark/KMeans/onlinepredictor/1"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return FolderStore(tmp_path)


async def test_what_is_written_is_read(store: ArtifactStore) -> None:
    files = {"model.json": b"{}", "weights.safetensors": bytes(range(256)) * 1000}
    await store.write(KEY, files)
    assert await store.read(KEY) == files


async def test_writing_again_replaces_all_files(store: ArtifactStore) -> None:
    await store.write(KEY, {"old": b"1", "both": b"1"})
    await store.write(KEY, {"both": b"2"})
    assert await store.read(KEY) == {"both": b"2"}


async def test_missing_artifacts_are_reported(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactNotFound):
        await store.read("kmeans/none")
    assert await store.keys("kmeans") == []
    await store.delete("kmeans/none")


async def test_artifacts_are_listed_and_deleted(store: ArtifactStore) -> None:
    for number in range(3):
        await store.write(f"a/{number}", {"x": b""})
    await store.delete("a/1")
    assert await store.keys("a") == ["a/0", "a/2"]


@pytest.mark.parametrize("key", ["", "/etc", "../x", "a/../b", "a//b", "a/.hidden", "a/b/", "a\\b", "a\0b"])
async def test_keys_cannot_leave_the_store(store: ArtifactStore, key: str) -> None:
    with pytest.raises(InvalidArtifactKey):
        await store.read(key)
    with pytest.raises(InvalidArtifactKey):
        await store.write(key, {"x": b""})


async def test_a_refused_file_name_leaves_nothing(store: ArtifactStore) -> None:
    with pytest.raises(InvalidArtifactKey):
        await store.write(KEY, {"good": b"", "../evil": b""})
    with pytest.raises(ArtifactNotFound):
        await store.read(KEY)


class CountingStore(FolderStore):
    reads = 0

    async def read(self, key: str) -> dict[str, bytes]:
        self.reads += 1
        await asyncio.sleep(0.01)
        return await super().read(key)


async def test_the_cache_loads_once_however_many_ask(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    await store.write(KEY, {"x": b"1"})
    cache = ModelCache(store, entries=2)
    answers = await asyncio.gather(*(cache.get(KEY) for _ in range(20)))
    assert store.reads == 1
    assert all(answer == {"x": b"1"} for answer in answers)


async def test_the_cache_does_not_remember_what_is_missing(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    cache = ModelCache(store, entries=2)
    with pytest.raises(ArtifactNotFound):
        await cache.get(KEY)
    await store.write(KEY, {"x": b"1"})
    assert await cache.get(KEY) == {"x": b"1"}


async def test_the_cache_forgets_the_least_recently_used(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    for name in "abc":
        await store.write(name, {"x": name.encode()})
    cache = ModelCache(store, entries=2)
    for name in "abac":
        await cache.get(name)
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
