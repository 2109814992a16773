"""What recommends and chooses, on a real database with a real worker."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from common.executions.repository import ExecutionRepository
from common.instruments import Instruments
from common.models.folder import FolderStore
from common.models.registry import ModelRegistry
from common.models.versions import read_version
from common.mongo.types import Client
from common.settings.prediction import PredictionSettings
from common.settings.training import TrainingSettings
from prediction.forecaster import Forecaster
from prediction.initial import InitialScaleOutChooser
from prediction.kinds.registry import model_kinds
from prediction.policies.registry import Policies
from prediction.predictor import Predictor
from prediction.serving.cache import ModelCache
from prediction.serving.models import Models
from prediction.serving.worker_pool import WorkerPool
from tests.support.scraping import Counted
from training.history.digests import RunDigests


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(workers=1, timeout_seconds=60.0)
    yield pool
    await pool.close()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def digests(mongo: Client, database: str, executions: ExecutionRepository) -> RunDigests:
    return RunDigests(mongo, database, executions)


@pytest.fixture
def forecaster(
    executions: ExecutionRepository,
    digests: RunDigests,
    registry: ModelRegistry,
    store: FolderStore,
    pool: WorkerPool,
) -> Forecaster:
    cache = ModelCache(partial(read_version, store), entries=2, size_bytes=1 << 30)
    kinds = model_kinds(executions, TrainingSettings())
    return Forecaster(digests, Models(registry, store, cache, pool, kinds), pool)


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


@pytest.fixture
def counted(instruments: Instruments) -> Counted:
    return Counted(instruments.registry)


@pytest.fixture
def predictor(executions: ExecutionRepository, forecaster: Forecaster, instruments: Instruments) -> Predictor:
    return Predictor(executions, forecaster, Policies(PredictionSettings()), instruments)


@pytest.fixture
def chooser(forecaster: Forecaster, instruments: Instruments) -> InitialScaleOutChooser:
    return InitialScaleOutChooser(forecaster, Policies(PredictionSettings()), instruments)
