"""Model versions as trainings publish them."""

import uuid
from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import (
    ModelVersion,
    NewVersion,
    Promotion,
    TrainingData,
    new_artifact_id,
    published_files,
)

NAME = "spark.KMeans.onlinepredictor"

FILES = {"model.json": b"{}", "weights.safetensors": bytes(range(256)) * 100}


def new_version(files: Mapping[str, bytes] = FILES, **fields: Any) -> NewVersion:
    values: dict[str, Any] = {
        "kind": "onlinepredictor",
        "system_name": "spark",
        "algorithm_name": "KMeans",
        "experiment_name": "tests",
        "artifact_id": new_artifact_id(uuid.uuid4().hex[:8]),
        "schema_version": 1,
        "files": published_files(files),
        "hyperparameters": {"learning_rate": 0.01},
        "validation": {"remaining_error": 0.1},
        "training_data": TrainingData(runs=4, jobs=24, run_ids=["a", "b", "c", "d"]),
        **fields,
    }
    return NewVersion(**values)


async def allowed(_: AsyncClientSession) -> None:
    """The fence of those who may always publish."""


async def publish(
    registry: ModelRegistry,
    artifacts: ArtifactStore,
    files: Mapping[str, bytes] = FILES,
    *,
    champion: bool = True,
    **fields: Any,
) -> ModelVersion:
    """Write, register and, unless told otherwise, promote."""
    new = new_version(files, **fields)
    await artifacts.write(new.artifact_key, files)
    version = await registry.register(new, allowed)
    model = await registry.get_model(version.name)
    verdict = Promotion(
        promoted=champion, reason="for a test", method="test", champion_version=model.champion
    )
    assert await registry.record_promotion(version.name, version.version, verdict)
    return version
