"""One model of the history in `tests.support.finished_runs`, learned once."""

import torch

from common.executions.repository import ExecutionRepository
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import ModelVersion
from tests.support.registered import publish
from training.history.from_documents import to_run_record
from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import pretrain

TRAINED: dict[str, bytes] = {}
"""Files of one model: all tests have the same history."""


async def train(
    executions: ExecutionRepository,
    registry: ModelRegistry,
    store: FolderStore,
    *,
    truncated: bool = False,
) -> ModelVersion:
    if not TRAINED:
        found = await executions.finished_runs("spark", "KMeans", 9)
        history = [to_run_record(earlier, jobs) for earlier, jobs in found]
        torch.set_num_threads(1)  # several threads on small tensors only wait for each other
        TRAINED.update(pretrain(history, Hyperparameters(), max_epochs=20, seed=0).to_files())
    files = dict(TRAINED)
    if truncated:
        files["weights.safetensors"] = files["weights.safetensors"][:100]
    return await publish(registry, store, files, store=store.identity)
