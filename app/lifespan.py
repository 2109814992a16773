"""Opens what the service needs, in order, and closes it in reverse; also after a failed start."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from app.endpoints import artifact_store
from common.configuration import Settings
from common.executions import ExecutionRepository
from common.mongo import mongo_client
from prediction.initial import InitialScaleOutChooser
from prediction.model_cache import ModelCache
from prediction.models import Models
from prediction.predictor import Predictor
from prediction.worker import WorkerPool
from submission.local_spark import LocalSparkRunner
from submission.service import SubmissionService
from training.pretraining import Pretraining
from training.runs import TrainingRunRepository
from training.supervisor import TrainingSupervisor

logger = logging.getLogger(__name__)

State = dict[str, Any]


def lifespan_for(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """The lifespan of a service with these settings."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            yield await _open(settings, stack)

    return lifespan


async def _open(settings: Settings, stack: AsyncExitStack) -> State:
    data_dir = settings.server.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    artifacts = await artifact_store(settings, data_dir)
    mongo = await stack.enter_async_context(mongo_client(settings.mongo, data_dir))
    executions = ExecutionRepository(mongo, settings.mongo.mongodb_database)
    training_runs = TrainingRunRepository(mongo, settings.mongo.mongodb_database)
    await executions.create_indexes()
    await training_runs.create_indexes()

    pool = WorkerPool(settings.prediction.prediction_workers, settings.prediction.prediction_timeout_seconds)
    stack.push_async_callback(pool.close)
    models = Models(training_runs, ModelCache(artifacts, settings.prediction.prediction_cache_entries))
    predictor = Predictor(executions, models, pool, settings.prediction)

    supervisor = TrainingSupervisor(training_runs, executions, artifacts, settings.training, data_dir)
    await supervisor.recover_dead()
    stack.push_async_callback(_cancel, asyncio.create_task(supervisor.run_forever(), name="trainings"))
    pretraining = Pretraining(training_runs, executions, supervisor, settings.training.training_trials)

    chooser = InitialScaleOutChooser(executions, models, pool, settings.prediction)
    runner = LocalSparkRunner(executions, settings.submission, data_dir)
    stack.push_async_callback(runner.aclose)
    submissions = SubmissionService(executions, runner, chooser.choose, settings)
    await submissions.recover()
    return {
        "settings": settings,
        "mongo": mongo,
        "executions": executions,
        "predictor": predictor,
        "models": models,
        "pretraining": pretraining,
        "submissions": submissions,
    }


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
