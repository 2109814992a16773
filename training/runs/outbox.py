"""Trained models on this service's own disk, until they are published."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from common.models.artifacts import ArtifactDamaged, ArtifactNotFound, verify
from common.models.folder import FolderStore
from common.models.versions import NewVersion

_DESCRIPTION = "publication.json"


class Outbox:
    """Trained models on this service's own disk, until they are published."""

    def __init__(self, data_dir: Path) -> None:
        self._store = FolderStore(data_dir)

    async def put(self, new: NewVersion, files: Mapping[str, bytes]) -> None:
        """Keep a model; when this returns it survives a kill."""
        description = {_DESCRIPTION: new.model_dump_json().encode()}
        await self._store.write(f"outbox/{new.artifact_id}", {**files, **description})

    async def items(self) -> list[str]:
        """Artifact ids, oldest first."""
        return [key.rpartition("/")[2] for key in await self._store.keys("outbox")]

    async def remove_incomplete(self) -> None:
        """Remove what an interrupted `put` left; only while nothing is being put."""
        complete = set(await self._store.keys("outbox"))
        for key in await self._store.keys("outbox", incomplete=True):
            if key not in complete:
                await self._store.delete(key)

    async def get(self, artifact_id: str) -> tuple[NewVersion, dict[str, bytes]]:
        """Raises ArtifactDamaged."""
        try:
            files = await self._store.read(f"outbox/{artifact_id}")
            new = NewVersion.model_validate_json(files.pop(_DESCRIPTION))
        except (ArtifactNotFound, KeyError, ValidationError) as error:
            raise ArtifactDamaged(f"What was kept of {artifact_id} cannot be read.") from error
        verify(artifact_id, files, new.expected_files())
        return new, files

    async def remove(self, artifact_id: str) -> None:
        await self._store.delete(f"outbox/{artifact_id}")
