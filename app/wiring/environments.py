"""Environments: what is asked for them, and what builds and keeps them."""

from pathlib import Path

from app.wiring.storage import Storage
from common.settings.environments import EnvironmentSettings
from submission.environments.builder import EnvironmentBuilder
from submission.environments.cache import EnvironmentCache
from submission.environments.environments import Environments
from submission.environments.packed import PackedFiles
from submission.environments.repository import EnvironmentRepository

FOLDER = Path("environments")
"""Below DATA_DIR; builds alone are there, and none outlives its service."""


async def build_environments(
    settings: EnvironmentSettings, storage: Storage, heartbeat_seconds: float
) -> Environments:
    """Nothing is built before the loops run.

    Args:
        heartbeat_seconds: Between two signs of life of a build.
    """
    repository = EnvironmentRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(repository)
    packed = PackedFiles(storage.artifacts)
    folder = storage.data_dir / FOLDER
    builder = EnvironmentBuilder(repository, packed, settings, folder, heartbeat_seconds, storage.instruments)
    cache = EnvironmentCache(repository, packed, settings.environment_cache_bytes, storage.instruments)
    return Environments(repository, builder, cache, packed)
