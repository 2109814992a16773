"""What every artifact store does, in a folder as in HDFS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import hdfs
import pytest
import pytest_asyncio

from common.models.artifacts import (
    ArtifactDamaged,
    ArtifactExists,
    ArtifactNotFound,
    ArtifactStore,
    InvalidArtifactKey,
    describe,
    identify,
    incomplete_name,
    verify,
)
from common.models.folder import FolderStore
from common.models.hdfs import HdfsStore
from common.settings.hdfs import HdfsSettings
from tests.support.samples import unique_name

pytestmark = pytest.mark.parametrize(
    "store", ["folder", pytest.param("hdfs", marks=pytest.mark.hdfs)], indirect=True
)

PREFIX = "pretrained_models/spark/KMeans/onlinepredictor"
KEY = f"{PREFIX}/0123456789ab"
FILES = {"model.json": b"{}", "weights.safetensors": bytes(range(256)) * 1000}

OpenStore = Callable[[], ArtifactStore]
PutFile = Callable[[str, bytes], None]


@pytest_asyncio.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def hdfs_settings(hdfs_endpoint: str) -> HdfsSettings:
    return HdfsSettings(hdfs_endpoint=hdfs_endpoint, hdfs_output_dir=f"/tests/{unique_name('store')}")


@pytest.fixture
def open_store(request: pytest.FixtureRequest, tmp_path: Path, closing: AsyncExitStack) -> OpenStore:
    """Opens one more store on the same place."""
    if request.node.callspec.params["store"] == "folder":
        return lambda: FolderStore(tmp_path)
    settings = request.getfixturevalue("hdfs_settings")

    def open_hdfs() -> ArtifactStore:
        store = HdfsStore(settings)
        closing.push_async_callback(store.aclose)
        return store

    return open_hdfs


@pytest.fixture
def store(open_store: OpenStore) -> ArtifactStore:
    return open_store()


@pytest.fixture
def put_file(request: pytest.FixtureRequest, tmp_path: Path) -> PutFile:
    """Puts a file where the store keeps its own, as somebody else would."""
    if request.node.callspec.params["store"] == "folder":

        def put(path: str, content: bytes) -> None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)

        return put
    settings = request.getfixturevalue("hdfs_settings")
    client = hdfs.InsecureClient(settings.hdfs_endpoint)
    return lambda path, content: client.write(f"{settings.hdfs_output_dir}/{path}", content, overwrite=True)


async def test_what_is_written_is_read(store: ArtifactStore) -> None:
    await store.write(KEY, FILES)
    assert await store.read(KEY) == FILES


async def test_an_empty_file_is_a_file(store: ArtifactStore) -> None:
    await store.write(KEY, {"empty": b"", "one": b"\0"})
    assert await store.read(KEY) == {"empty": b"", "one": b"\0"}


async def test_large_files_come_back_whole(store: ArtifactStore) -> None:
    """Several blocks of HDFS."""
    content = bytes(range(251)) * 20_000
    await store.write(KEY, {"weights.safetensors": content, "again": content[::-1]})
    assert await store.read(KEY) == {"weights.safetensors": content, "again": content[::-1]}


@pytest.mark.parametrize("name", ["two words", "a+b", "1.0", "trailing.", "x--_", "0", "n" * 200])
async def test_names_are_taken_literally(store: ArtifactStore, name: str) -> None:
    key = f"{PREFIX}/{name}/{name}"
    await store.write(key, {name: b"1", f"{name}2": b"2"})
    assert await store.read(key) == {name: b"1", f"{name}2": b"2"}
    assert await store.keys(f"{PREFIX}/{name}") == [key]
    await store.delete(key)
    assert await store.keys(f"{PREFIX}/{name}") == []


async def test_an_artifact_is_written_once(store: ArtifactStore) -> None:
    await store.write(KEY, FILES)
    with pytest.raises(ArtifactExists, match=KEY) as caught:
        await store.write(KEY, {"other": b"2"})
    assert caught.value.status == 409
    assert await store.read(KEY) == FILES
    assert await store.keys(PREFIX, incomplete=True) == [KEY]


async def test_missing_artifacts_are_reported(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactNotFound, match=KEY) as caught:
        await store.read(KEY)
    assert caught.value.status == 404
    assert await store.keys(PREFIX) == []
    assert await store.keys(PREFIX, incomplete=True) == []
    await store.delete(KEY)


async def test_a_file_is_neither_an_artifact_nor_a_prefix(store: ArtifactStore, put_file: PutFile) -> None:
    put_file("a/file", b"x")
    assert await store.keys("a") == []
    assert await store.keys("a/file") == []
    for key in ("a/file", "a/file/below"):
        with pytest.raises(ArtifactNotFound):
            await store.read(key)


async def test_artifacts_are_listed_and_deleted(store: ArtifactStore) -> None:
    for number in (2, 0, 1, 10):
        await store.write(f"a/{number}", {"x": b""})
    await store.delete("a/1")
    await store.delete("a/1")
    assert await store.keys("a") == ["a/0", "a/10", "a/2"]
    with pytest.raises(ArtifactNotFound):
        await store.read("a/1")
    await store.write("a/1", {"x": b"again"})
    assert await store.read("a/1") == {"x": b"again"}


async def test_folders_between_are_listed_by_their_level(store: ArtifactStore) -> None:
    await store.write("a/b/c/1", FILES)
    await store.write("a/b/d/2", FILES)
    assert await store.keys("a") == ["a/b"]
    assert await store.keys("a/b") == ["a/b/c", "a/b/d"]
    await store.delete("a/b/c/1")
    assert await store.read("a/b/d/2") == FILES


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc", "../x", "a/../b", "a/.", "a//b", "a/.hidden", "a/b/", "a\\b", "a\0b", "a%2fb", "ä"],
)
async def test_keys_cannot_leave_the_store(store: ArtifactStore, key: str) -> None:
    with pytest.raises(InvalidArtifactKey):
        await store.read(key)
    with pytest.raises(InvalidArtifactKey):
        await store.write(key, {"x": b""})
    with pytest.raises(InvalidArtifactKey):
        await store.keep(key, {"x": b""})
    with pytest.raises(InvalidArtifactKey):
        await store.delete(key)
    with pytest.raises(InvalidArtifactKey):
        await store.keys(key)


@pytest.mark.parametrize("name", ["../evil", "folder/file", "/etc/passwd", "", ".hidden", "a?b"])
async def test_a_refused_file_name_leaves_nothing(store: ArtifactStore, name: str) -> None:
    with pytest.raises(InvalidArtifactKey):
        await store.write(KEY, {"good": b"", name: b""})
    with pytest.raises(ArtifactNotFound):
        await store.read(KEY)
    assert await store.keys(PREFIX, incomplete=True) == []


async def test_an_interrupted_write_is_no_artifact(store: ArtifactStore, put_file: PutFile) -> None:
    put_file(f"{incomplete_name(KEY)}/weights.safetensors", b"half of")
    with pytest.raises(ArtifactNotFound):
        await store.read(KEY)
    assert await store.keys(PREFIX) == []
    assert await store.keys(PREFIX, incomplete=True) == [KEY]


async def test_an_interrupted_write_does_not_hinder_the_next(store: ArtifactStore, put_file: PutFile) -> None:
    put_file(f"{incomplete_name(KEY)}/weights.safetensors", b"half of")
    put_file(f"{incomplete_name(KEY)}/of another version", b"?")
    await store.write(KEY, FILES)
    assert await store.read(KEY) == FILES
    assert await store.keys(PREFIX, incomplete=True) == [KEY]


async def test_an_interrupted_write_can_be_deleted(store: ArtifactStore, put_file: PutFile) -> None:
    await store.write(f"{PREFIX}/other", FILES)
    put_file(f"{incomplete_name(KEY)}/weights.safetensors", b"half of")
    await store.delete(KEY)
    assert await store.keys(PREFIX, incomplete=True) == [f"{PREFIX}/other"]
    await store.delete(KEY)


async def test_deleting_removes_the_artifact_and_an_interrupted_write_of_it(
    store: ArtifactStore, put_file: PutFile
) -> None:
    await store.write(KEY, FILES)
    put_file(f"{incomplete_name(KEY)}/weights.safetensors", b"half of")
    await store.delete(KEY)
    assert await store.keys(PREFIX, incomplete=True) == []


async def test_stores_on_one_place_see_the_same(store: ArtifactStore, open_store: OpenStore) -> None:
    other = open_store()
    await store.write(KEY, FILES)
    assert await other.keys(PREFIX) == [KEY]
    assert await other.read(KEY) == FILES
    with pytest.raises(ArtifactExists):
        await other.write(KEY, {"x": b""})
    await other.delete(KEY)
    with pytest.raises(ArtifactNotFound):
        await store.read(KEY)


async def test_what_was_changed_afterwards_is_noticed(store: ArtifactStore, put_file: PutFile) -> None:
    await store.write(KEY, FILES)
    put_file(f"{KEY}/model.json", b"[]")
    with pytest.raises(ArtifactDamaged, match=r"model\.json"):
        verify(KEY, await store.read(KEY), describe(FILES))


async def test_a_store_can_be_checked_before_and_after_its_first_use(store: ArtifactStore) -> None:
    await store.check()
    await store.write(KEY, FILES)
    await store.check()
    assert await store.read(KEY) == FILES


async def test_many_write_and_read_at_once(store: ArtifactStore, open_store: OpenStore) -> None:
    stores = [store, open_store()]
    contents = {f"{PREFIX}/{number}": {"x": bytes([number]) * 100_000} for number in range(12)}

    async def write_and_read(number: int, key: str) -> dict[str, bytes]:
        await stores[number % 2].write(key, contents[key])
        return await stores[(number + 1) % 2].read(key)

    answers = await asyncio.gather(*(write_and_read(number, key) for number, key in enumerate(contents)))
    assert answers == list(contents.values())
    assert await store.keys(PREFIX, incomplete=True) == sorted(contents)


async def test_of_many_who_write_the_same_at_once_one_wins(
    store: ArtifactStore, open_store: OpenStore
) -> None:
    stores = [store, *(open_store() for _ in range(5))]
    contents = [{"x": bytes([number]) * 1000, "y": bytes([number])} for number in range(len(stores))]
    for attempt in range(5):
        key = f"{PREFIX}/{attempt}"
        outcomes = await asyncio.gather(
            *(each.write(key, files) for each, files in zip(stores, contents, strict=True)),
            return_exceptions=True,
        )
        winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
        assert len(winners) <= 1, outcomes  # they may all have hindered each other
        if not winners:
            await store.write(key, contents[0])
        assert await store.read(key) == contents[winners[0] if winners else 0]


async def test_of_many_who_keep_the_same_at_once_all_succeed(
    store: ArtifactStore, open_store: OpenStore, put_file: PutFile
) -> None:
    stores = [store, *(open_store() for _ in range(7))]
    for attempt in range(5):
        key, files = f"{PREFIX}/{attempt}", {"content": bytes([attempt]) * 1000}
        put_file(f"{incomplete_name(key)}/content", b"half of")
        await asyncio.gather(*(each.keep(key, files) for each in stores))
        await store.keep(key, files)
        assert await store.read(key) == files
        assert await store.remove_interrupted_writes(PREFIX, [key]) == [key]
        assert await store.remove_interrupted_writes(PREFIX, [key]) == []


async def test_what_is_kept_is_not_hindered_by_who_cleans_up(
    store: ArtifactStore, open_store: OpenStore
) -> None:
    files, other, key = {"content": bytes(100_000)}, open_store(), f"{PREFIX}/kept"
    await store.keep(key, files)

    async def clean() -> None:
        for _ in range(10):
            await other.remove_interrupted_writes(PREFIX, [key])

    await asyncio.gather(clean(), *(store.keep(key, files) for _ in range(10)))
    assert await store.read(key) == files


async def test_something_else_under_a_key_of_what_is_kept_is_told(store: ArtifactStore) -> None:
    await store.write(KEY, FILES)
    await store.keep(KEY, FILES)
    for files in ({"other": b""}, {**FILES, "model.json": b""}):
        with pytest.raises(ArtifactDamaged, match=KEY):
            await store.keep(KEY, files)
    assert await store.read(KEY) == FILES


async def test_all_who_use_a_store_know_it_by_the_same_name(
    store: ArtifactStore, open_store: OpenStore
) -> None:
    stores = [store, open_store(), open_store()]
    await asyncio.gather(*(identify(each) for each in stores[:2]))
    await identify(stores[2])  # who comes later
    assert len({each.identity for each in stores}) == 1
    assert store.identity
