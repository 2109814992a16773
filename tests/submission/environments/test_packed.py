"""Packed files in parts, in a folder as in HDFS."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from common.models.artifacts import ArtifactDamaged, ArtifactStore
from common.models.folder import FolderStore
from common.models.hdfs import HdfsStore
from common.settings.hdfs import HdfsSettings
from submission.environments.packed import PackedFiles
from tests.support.samples import unique_name


@pytest.fixture(params=["folder", pytest.param("hdfs", marks=pytest.mark.hdfs)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | HdfsSettings:
    if request.param == "folder":
        return tmp_path / "models"
    endpoint = request.getfixturevalue("hdfs_endpoint")
    return HdfsSettings(hdfs_endpoint=endpoint, hdfs_output_dir=f"/tests/{unique_name('store')}")


@pytest_asyncio.fixture
async def store(place: Path | HdfsSettings) -> AsyncIterator[ArtifactStore]:
    if isinstance(place, Path):
        yield FolderStore(place)
        return
    hdfs = HdfsStore(place)
    yield hdfs
    await hdfs.aclose()


async def test_a_file_is_written_read_and_removed_in_parts(store: ArtifactStore, tmp_path: Path) -> None:
    packed, content = PackedFiles(store, 1 << 20), bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    told: list[int] = []

    async def written(size_bytes: int) -> None:
        told.append(size_bytes)

    parts, digest = await packed.write("one", tmp_path / "file", written)
    other, _ = await packed.write("other", tmp_path / "file", written)
    assert [part.size_bytes for part in parts] == [1 << 20, 1 << 20, len(content) - (2 << 20)]
    assert told[:3] == [1 << 20, 2 << 20, len(content)]
    assert digest == hashlib.sha256(content).hexdigest()
    assert b"".join([piece async for piece in packed.read(parts)]) == content

    await packed.delete("one")
    await packed.delete("one")
    with pytest.raises(ArtifactDamaged, match="not there any more"):
        assert [piece async for piece in packed.read(parts)]
    assert b"".join([piece async for piece in packed.read(other)]) == content
    assert await store.keys("environments", incomplete=True) == ["environments/other"]
