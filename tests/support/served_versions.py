"""Versions in a store, as they are served from it, and an environment that is there."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from common.models.folder import FolderStore
from common.models.versions import (
    ModelVersion,
    NewVersion,
    ProgramOrigin,
    PublishedFile,
    TrainingData,
    published_files,
)


class Environments:
    """One environment, which is there."""

    async def ensure_built(self, environment_id: str) -> None:
        pass

    async def packed(self, environment_id: str) -> AsyncIterator[bytes]:
        yield b"#!"
        yield environment_id.encode()


async def stored_version(
    store: FolderStore,
    number: int,
    files: Mapping[str, bytes],
    *,
    signature: dict[str, Any] | None = None,
    paths: Mapping[str, str] | None = None,
) -> ModelVersion:
    """A version of these files.

    Args:
        paths: Where the program had left them, by name.
    """
    described = [
        PublishedFile(**(each.model_dump() | {"path": (paths or {}).get(each.name)}))
        for each in published_files(files)
    ]
    version = NewVersion(
        kind="program",
        system_name="spark",
        algorithm_name="m",
        experiment_name="m",
        schema_version=1,
        files=described,
        training_data=TrainingData(runs=0, jobs=0),
        artifact_id=f"artifact-{number}",
        program=ProgramOrigin(workspace="team", folder=".", snapshot_id="s", signature=signature),
    ).numbered(number)
    await store.write(version.artifact_key, files)
    return version
