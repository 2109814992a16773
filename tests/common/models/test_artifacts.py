"""What only the store in a local folder does."""

from pathlib import Path

import pytest

from common.models.artifacts import ArtifactNotFound, StoreUnavailable
from common.models.folder import FolderStore

KEY = "pretrained_models/spark/KMeans/onlinepredictor/1"


async def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in its place")
    store = FolderStore(tmp_path / "models")
    with pytest.raises(StoreUnavailable) as caught:
        await store.write(KEY, {"x": b""})
    assert caught.value.status == 503
    assert "Retry-After" in caught.value.headers
    with pytest.raises(StoreUnavailable):
        await store.check()


async def test_a_folder_that_is_not_there_says_nothing_about_what_it_should_hold(tmp_path: Path) -> None:
    """Otherwise every model would pass for damaged while a disk is not mounted."""
    root, aside = tmp_path / "models", tmp_path / "aside"
    store = FolderStore(root)
    await store.write(KEY, {"x": b"1"})
    root.rename(aside)
    with pytest.raises(StoreUnavailable):
        await store.read(KEY)
    root.write_text("a file in its place")
    with pytest.raises(StoreUnavailable):
        await store.read(KEY)
    root.unlink()
    aside.rename(root)
    assert await store.read(KEY) == {"x": b"1"}
    with pytest.raises(ArtifactNotFound):
        await store.read(f"{KEY}0")
