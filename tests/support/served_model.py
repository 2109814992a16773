"""A model of a test's own in the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion, model_name
from common.mongo.types import Client
from tests.support.registered import FILES, publish
from tests.support.samples import application_start, execution, unique_name


class Registered:
    """A model of the test's own in the service's registry and store."""

    def __init__(self, service: httpx.AsyncClient, mongo: Client) -> None:
        self.algorithm_name = unique_name("Algorithm")
        self.name = model_name("spark", self.algorithm_name, "onlinepredictor")
        self.path = f"/models/{self.name}"
        self.folder: Path = service.data_dir / "models"  # type: ignore[attr-defined]
        self.registry = ModelRegistry(mongo, service.database)  # type: ignore[attr-defined]
        self.executions = ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]
        self._service = service

    async def publish(self, files: Mapping[str, bytes] = FILES, **fields: Any) -> ModelVersion:
        store = FolderStore(self.folder)
        return await publish(self.registry, store, files, **{"algorithm_name": self.algorithm_name, **fields})

    async def start_run(self, max_runtime: float = 19.0) -> str:
        run = execution(algorithm_name=self.algorithm_name, max_runtime=max_runtime)
        await self.executions.insert(run)
        started = await self._service.post("/training/update_information", json=application_start(run.id))
        assert started.status_code == 200, started.text
        return run.id

    def weights(self, version: ModelVersion) -> Path:
        return self.folder / version.artifact_key / "weights.safetensors"

    @contextmanager
    def store_away(self) -> Iterator[None]:
        """As while a disk is not mounted."""
        aside = self.folder.with_name("models-aside")
        self.folder.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.folder)
