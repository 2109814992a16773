"""Predictions: worker processes, models in memory, and the two stories that ask them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from app.wiring.storage import Storage
from common.models.versions import read_version
from common.settings.prediction import PredictionSettings
from prediction.forecaster import Forecaster
from prediction.initial import InitialScaleOutChooser
from prediction.kinds.kind import ModelKind
from prediction.policies.registry import Policies
from prediction.predictor import Predictor
from prediction.serving.cache import ModelCache
from prediction.serving.models import Models
from prediction.serving.worker_pool import WorkerPool
from training.kinds import Kinds


@dataclass(frozen=True)
class Prediction:
    """What asks for forecasts, and what makes them."""

    pool: WorkerPool
    models: Models
    predictor: Predictor
    chooser: InitialScaleOutChooser
    forecaster: Forecaster


@asynccontextmanager
async def open_prediction(
    settings: PredictionSettings, storage: Storage, kinds: Kinds[ModelKind]
) -> AsyncIterator[Prediction]:
    """With workers that are starting; they end with the context.

    Where there is no model yet, they do without torch, which takes 150 MB: the first application that is
    submitted once there is one has its worker import it, before the run.
    """
    timeout_seconds = settings.prediction_timeout_seconds
    deadline_seconds = timeout_seconds + settings.prediction_wait_seconds
    prepare = [kind.prepare_worker for kind in kinds if await storage.registry.has_models_of(kind.name)]
    pool = WorkerPool(settings.prediction_workers, timeout_seconds, deadline_seconds, prepare)
    cache = ModelCache(
        partial(read_version, storage.artifacts),
        entries=settings.prediction_cache_entries,
        size_bytes=settings.prediction_cache_bytes,
        instruments=storage.instruments,
    )
    models = Models(storage.registry, storage.artifacts, cache, pool, kinds)
    forecaster = Forecaster(storage.digests, models, pool)
    policies = Policies(settings)
    try:
        pool.warm_up()
        yield Prediction(
            pool,
            models,
            Predictor(storage.executions, forecaster, policies, storage.instruments),
            InitialScaleOutChooser(forecaster, policies, storage.instruments),
            forecaster,
        )
    finally:
        await pool.close()
