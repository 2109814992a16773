"""Removes what interrupted publications and deletions left in the store."""

import logging

from common.models.artifacts import ArtifactStore
from common.models.registry import ModelRegistry
from common.models.versions import ARTIFACTS
from training.runs.repository import TrainingRunRepository

logger = logging.getLogger(__name__)

_LEVELS = 3
"""System, algorithm and kind of model lie above an artifact."""


async def collect_garbage(
    store: ArtifactStore, runs: TrainingRunRepository, registry: ModelRegistry
) -> list[str]:
    """Delete artifacts, complete or not, that no version has and no training is about to register.

    Only what trainings and versions of this database have left: another deployment may use the same
    folder, and a database that was set up anew must not cost anybody a model.

    Safe at any time beside publications: files appear only while their training is in progress, and
    it ends only after the version is registered. So the order of the readings is what matters.

    Beside an artifact that a version has, an interrupted write of it may appear late: HDFS goes on for a
    moment with what a service that was killed had asked for.

    Returns:
        Keys of what was deleted.
    Raises:
        StoreUnavailable: What was found so far is deleted.
    """
    folders = [ARTIFACTS]
    for _ in range(_LEVELS):
        folders = [key for folder in folders for key in await store.keys(folder)]
    by_folder = {folder: set(await store.keys(folder, incomplete=True)) for folder in folders}
    found = set().union(*by_folder.values())
    if not found:
        return []
    in_progress = await runs.artifacts_in_progress()
    loose = {key for key in found if _artifact_id(key) not in in_progress}
    registered = await registry.artifact_keys()
    loose -= registered
    drawn = await runs.drawn_here({_artifact_id(key) for key in loose})
    deleted = await registry.artifact_keys(deleted=True)
    garbage = sorted(key for key in loose if _artifact_id(key) in drawn or key in deleted)
    for key in garbage:
        await store.delete(key)
        logger.info("Removed %s, which belongs to no model version", key)
    for folder, keys in by_folder.items():
        settled = {key for key in keys & registered if _artifact_id(key) not in in_progress}
        for key in await store.remove_interrupted_writes(folder, settled):
            logger.info("Removed what an interrupted write of %s had left", key)
    return garbage


def _artifact_id(key: str) -> str:
    return key.rpartition("/")[2]
