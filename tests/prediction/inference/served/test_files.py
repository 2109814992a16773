"""Files of versions on this machine: whole, compared, or not there; what was used longest ago makes room."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.models.artifacts import StoreUnavailable
from common.models.folder import FolderStore
from common.models.versions import ModelVersion
from prediction.inference.served.entries import Hold
from prediction.inference.served.files import LocalDiskFailed, LocalFiles, LocalFilesDamaged
from tests.support.served_versions import Environments, stored_version


async def published(store: FolderStore, number: int, content: bytes = b"weights") -> ModelVersion:
    files = {"file-00000": content, "predict.py": b"def predict(inputs): ..."}
    return await stored_version(store, number, files, paths={"file-00000": "deep/weights.bin"})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def hold() -> Iterator[Hold]:
    hold = Hold()
    yield hold
    hold.release()


async def test_what_was_used_here_is_here_while_the_store_is_away(
    store: FolderStore, hold: Hold, tmp_path: Path
) -> None:
    version = await published(store, 1)
    files = LocalFiles(tmp_path / "files", store, Environments(), 1 << 30)
    folder = await files.version(version, hold)
    assert (folder / "deep" / "weights.bin").read_bytes() == b"weights"
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    assert await files.version(version, hold) == folder
    packed = await files.environment("abc", hold)
    assert packed.read_bytes() == b"#!abc"
    assert os.access(packed, os.X_OK)
    with pytest.raises(StoreUnavailable):
        await files.version(version.model_copy(update={"id": "m/2", "artifact_key": "x/artifact-2"}), hold)


@pytest.mark.parametrize("damage", [b"weighta", b"", None], ids=["another byte", "empty", "missing"])
async def test_what_differs_is_fetched_again_and_never_served(
    store: FolderStore, hold: Hold, tmp_path: Path, damage: bytes | None
) -> None:
    version = await published(store, 1)
    files = LocalFiles(tmp_path / "files", store, Environments(), 1 << 30)
    weights = await files.version(version, hold) / "deep" / "weights.bin"
    _damage(weights, damage)
    assert (await files.version(version, hold) / "deep" / "weights.bin").read_bytes() == b"weights"

    _damage(weights, damage)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(LocalFilesDamaged, match=r"weights\.bin is not what was published"):
        await files.version(version, hold)
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert (await files.version(version, hold) / "deep" / "weights.bin").read_bytes() == b"weights"
    assert [each.name for each in (tmp_path / "files").iterdir() if ".begun" in each.name] == []


async def test_an_environment_that_differs_is_fetched_again(
    store: FolderStore, hold: Hold, tmp_path: Path
) -> None:
    files = LocalFiles(tmp_path / "files", store, Environments(), 1 << 30)
    packed = await files.environment("abc", hold)
    packed.write_bytes(b"#!abd")
    assert (await files.environment("abc", hold)).read_bytes() == b"#!abc"
    (packed.parent / "sums.json").write_text("{}")
    packed.unlink()
    assert (await files.environment("abc", hold)).read_bytes() == b"#!abc"


async def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing_half(
    store: FolderStore, hold: Hold, tmp_path: Path
) -> None:
    version = await published(store, 1, bytes(3 << 20))
    files = LocalFiles(tmp_path / "files", store, Environments(), 1 << 30)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(LocalDiskFailed, match="SERVING_CACHE_DIR"):
            await files.version(version, hold)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [each for each in (tmp_path / "files").iterdir() if each.is_dir()] == []
    assert (await files.version(version, hold) / "predict.py").is_file()


async def test_what_was_used_longest_ago_makes_room(store: FolderStore, hold: Hold, tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "files", store, Environments(), 2500)
    other = LocalFiles(tmp_path / "files", store, Environments(), 2500)
    versions = [await published(store, number, bytes(1000)) for number in (1, 2, 3)]
    folders = []
    for version in versions:
        shortly = Hold()
        folders.append(await files.version(version, shortly))
        shortly.release()
    await files.version(versions[0], hold)
    for age, folder in enumerate(reversed(folders)):
        os.utime(folder.parent / f".used-{folder.name}", (1_000_000 - age, 1_000_000 - age))
    assert await other.make_room() == [folders[1].name], "what another service uses stays, too"
    assert [folder.is_dir() for folder in folders] == [True, False, True]
    hold.release()
    assert (await files.version(versions[1], hold) / "predict.py").is_file()
    assert await files.make_room() == [folders[0].name]


async def test_what_two_use_stays_until_both_have_gone(store: FolderStore, tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "files", store, Environments(), 1)
    version = await published(store, 1)
    one, other = Hold(), Hold()
    folder = await files.version(version, one)
    await files.version(version, other)
    one.release()
    assert await files.make_room() == []
    other.release()
    assert await files.make_room() == [folder.name]


async def test_what_is_on_its_way_is_not_removed(store: FolderStore, hold: Hold, tmp_path: Path) -> None:
    class Slow(Environments):
        coming, go_on = asyncio.Event(), asyncio.Event()

        async def packed(self, environment_id: str) -> AsyncIterator[bytes]:
            yield b"#!"
            self.coming.set()
            await self.go_on.wait()

    slow = Slow()
    files = LocalFiles(tmp_path / "files", store, slow, 1)
    loading = asyncio.create_task(files.environment("abc", hold))
    await slow.coming.wait()
    assert await files.make_room() == []
    slow.go_on.set()
    packed = await loading
    assert await files.make_room() == []
    assert packed.read_bytes() == b"#!"


def _damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
