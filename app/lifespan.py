"""Opens what the service needs, in order, and closes it in reverse; also after a failed start."""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pymongo
from fastapi import FastAPI

from app.chores import chores
from app.loops import end, running
from app.wiring.manifest_options import manifest_options
from app.wiring.platform import chosen_platform
from app.wiring.storage import artifact_store
from common.auth import Credentials
from common.errors import StartError
from common.executions.repository import ExecutionRepository
from common.models.registry import ModelRegistry
from common.models.versions import read_version
from common.mongo.client import mongo_client
from common.settings.settings import Settings
from prediction.forecaster import Forecaster
from prediction.initial import InitialScaleOutChooser
from prediction.policies.registry import Policies
from prediction.predictor import Predictor
from prediction.serving.cache import ModelCache
from prediction.serving.models import ONLINE_PREDICTOR, Models
from prediction.serving.worker_pool import WorkerPool
from submission.idempotency import SubmissionLedger
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.promotion.gate import PromotionGate
from training.runs.garbage import collect_garbage
from training.runs.outbox import Outbox
from training.runs.pretraining import Pretraining
from training.runs.publishing import Publisher
from training.runs.repository import TrainingRunRepository
from training.runs.schedules import PeriodicTrainings
from training.runs.supervisor import TrainingSupervisor
from training.search.config import SearchConfig

logger = logging.getLogger(__name__)

State = dict[str, Any]

_INDEX_SECONDS = 600.0
"""The first index over a large collection takes its time."""


def lifespan_for(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """The lifespan of a service with these settings."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            yield await _open(settings, stack)

    return lifespan


async def _open(settings: Settings, stack: AsyncExitStack) -> State:
    data_dir = await asyncio.to_thread(_open_data_dir, settings.server.data_dir, stack)
    where = chosen_platform(settings)
    options = await asyncio.to_thread(manifest_options, settings, where.platform)
    start_runner = await stack.enter_async_context(where.connect(settings))
    artifacts = await stack.enter_async_context(artifact_store(settings, data_dir))
    mongo = await stack.enter_async_context(mongo_client(settings.mongo, data_dir))
    executions = ExecutionRepository(mongo, settings.mongo.mongodb_database)
    training_runs = TrainingRunRepository(mongo, settings.mongo.mongodb_database)
    registry = ModelRegistry(mongo, settings.mongo.mongodb_database)
    ledger = SubmissionLedger(
        mongo,
        settings.mongo.mongodb_database,
        executions,
        key_seconds=settings.submission.idempotency_key_seconds,
    )
    with pymongo.timeout(_INDEX_SECONDS):
        await executions.create_indexes()
        await training_runs.create_indexes()
        await registry.create_indexes()
        await ledger.create_indexes()

    timeout_seconds = settings.prediction.prediction_timeout_seconds
    deadline_seconds = timeout_seconds + settings.prediction.prediction_wait_seconds
    pool = WorkerPool(settings.prediction.prediction_workers, timeout_seconds, deadline_seconds)
    stack.push_async_callback(pool.close)
    pool.warm_up()
    cache = ModelCache(
        partial(read_version, artifacts),
        entries=settings.prediction.prediction_cache_entries,
        size_bytes=settings.prediction.prediction_cache_bytes,
    )
    models = Models(registry, artifacts, cache, pool)
    forecaster = Forecaster(executions, models, pool)
    policies = Policies(settings.prediction)
    predictor = Predictor(executions, forecaster, policies)

    tolerance = settings.training.promotion_tolerance
    gate = PromotionGate(registry, artifacts, executions, data_dir / "training", tolerance)
    heartbeat_seconds = settings.training.training_heartbeat_seconds
    publisher = Publisher(training_runs, registry, artifacts, gate, Outbox(data_dir), heartbeat_seconds)
    supervisor = TrainingSupervisor(
        training_runs, executions, registry, publisher, settings.training, data_dir
    )
    await publisher.claim()
    await supervisor.recover_dead()
    for name, forever in (("publishing", publisher.run_forever()), ("trainings", supervisor.run_forever())):
        stack.push_async_callback(end, asyncio.create_task(forever, name=name))
    trials = settings.training.training_trials or SearchConfig().trials
    pretraining = Pretraining(training_runs, executions, supervisor, trials)

    periodic_trainings = PeriodicTrainings(
        mongo,
        settings.mongo.mongodb_database,
        training_runs,
        executions,
        registry,
        every_algorithm=settings.training.interval,
        by_algorithm=settings.training.cron_schedules,
        kind=ONLINE_PREDICTOR,
        trials=trials,
        history_runs=settings.training.training_max_history_runs,
    )

    chooser = InitialScaleOutChooser(forecaster, policies)
    runner = start_runner(data_dir, mongo, executions)
    stack.push_async_callback(runner.aclose)
    submissions = SubmissionService(executions, ledger, runner, chooser, options)
    await submissions.resume()
    submission_schedules = SubmissionSchedules(
        mongo, settings.mongo.mongodb_database, executions, submissions
    )
    with pymongo.timeout(_INDEX_SECONDS):
        await submission_schedules.create_indexes()
    collect = partial(collect_garbage, artifacts, training_runs, registry)
    loops = chores(periodic_trainings, collect, submissions, submission_schedules, heartbeat_seconds)
    await stack.enter_async_context(running(loops))
    return {
        "mongo": mongo,
        "credentials": Credentials(settings.submission.tokens),
        "executions": executions,
        "workers": pool,
        "predictor": predictor,
        "initial_scale_out_chooser": chooser,
        "models": models,
        "pretraining": pretraining,
        "periodic_trainings": periodic_trainings,
        "submissions": submissions,
        "submission_schedules": submission_schedules,
    }


def _open_data_dir(folder: Path, stack: AsyncExitStack) -> Path:
    """The folder, held for this service alone until it ends. Raises StartError."""
    try:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((folder / "service.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StartError(
            f"DATA_DIR: another service is using {folder}; set DATA_DIR to a folder of its own."
        ) from error
    except (OSError, RuntimeError) as error:  # the latter of links in a circle
        reason = error.strerror if isinstance(error, OSError) else "its links lead nowhere"
        raise StartError(f"DATA_DIR: {folder} cannot be used: {reason}.") from error
    return folder
