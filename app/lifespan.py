"""Enters what the service consists of, in order, and leaves it in reverse; also after a failed start."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app.loops import every_loop
from app.wiring.access import driver_tokens, open_access
from app.wiring.environments import build_environments
from app.wiring.ground import open_ground
from app.wiring.manifest_options import manifest_options
from app.wiring.messages import open_messages
from app.wiring.platform import chosen_platform
from app.wiring.prediction import open_prediction
from app.wiring.programs import digits_example, open_pipelines, open_programs
from app.wiring.serving import open_predictions, open_serving, serving_loops
from app.wiring.storage import Storage, open_storage
from app.wiring.submission import open_accuracy, open_submission
from app.wiring.training import build_training, ray_access
from app.wiring.workspaces import open_workspaces
from common.loops import running
from common.settings.settings import Settings
from prediction.kinds.registry import model_kinds
from routers.state import ServiceState
from training.event_logs.importing import RunImporter

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, ServiceState]]]


def lifespan_for(settings: Settings, storage: Storage | None = None) -> Lifespan:
    """The lifespan of a service with these settings; requests find its state as `service`.

    Args:
        storage: What is open already, and stays so; None: the lifespan opens it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, ServiceState]]:
        async with AsyncExitStack() as stack:
            yield {"service": await _enter(settings, storage, stack)}

    return lifespan


async def _enter(settings: Settings, storage: Storage | None, stack: AsyncExitStack) -> ServiceState:
    stopping = asyncio.Event()
    _ = settings.access_by_tokens  # raises where no setting says who may do what, before anything is started
    where = chosen_platform(settings)
    options = await asyncio.to_thread(manifest_options, settings, where.platform)
    start_runner = await stack.enter_async_context(where.connect(settings))
    if storage is None:
        ground = await stack.enter_async_context(open_ground(settings))
        storage = await stack.enter_async_context(open_storage(settings, ground))
    access = await stack.enter_async_context(open_access(settings, storage))
    kinds = model_kinds(storage.executions, settings.training)
    prediction = await stack.enter_async_context(open_prediction(settings.prediction, storage, kinds))
    training = await build_training(settings.training, storage, kinds, stopping, ray_access(settings.serving))
    opened = await open_workspaces(settings.workspaces, storage)
    heartbeat_seconds = settings.training.training_heartbeat_seconds
    environments = await build_environments(settings.environments, storage, heartbeat_seconds)
    predictions = await open_predictions(storage)
    programs = await open_programs(
        settings.programs,
        storage,
        opened.workspaces,
        environments,
        predictions,
        settings.serving.serving_feedback_rows,
    )
    serving = await stack.enter_async_context(
        open_serving(
            settings,
            storage,
            opened.workspaces,
            environments,
            programs.preparation,
            where.platform,
            predictions,
        )
    )
    accuracy = await open_accuracy(settings.training, storage, training.pretraining, prediction.forecaster)
    submission = await stack.enter_async_context(
        open_submission(
            settings,
            storage,
            start_runner,
            prediction.chooser,
            options,
            driver_tokens(settings, access),
            programs.preparation,
        )
    )
    pipelines = await open_pipelines(
        storage, opened.workspaces, submission.service, programs.runs, predictions
    )
    messages = await stack.enter_async_context(open_messages(settings, storage, programs, submission.service))
    await storage.setting_up.done()
    loops = every_loop(
        training.supervisor,
        training.publisher,
        training.periodic,
        training.collect_garbage,
        submission.service,
        submission.schedules,
        submission.runner,
        accuracy,
        of_teams=[
            submission.others.loop(),
            *environments.loops(),
            programs.publisher.loop(),
            pipelines.loop(),
            *messages.loops(),
            *serving_loops(serving),
        ],
        collect_contents=opened.collect_garbage,
        collect_outputs=programs.garbage.collect,
        collect_ended_tokens=access.tokens.collect_ended,
        heartbeat_seconds=heartbeat_seconds,
    )
    await stack.enter_async_context(running(loops))
    return ServiceState(
        mongo=storage.mongo,
        instruments=storage.instruments,
        access=access,
        executions=storage.executions,
        predictor=prediction.predictor,
        chooser=prediction.chooser,
        models=prediction.models,
        workers=prediction.pool,
        importer=RunImporter(storage.executions),
        pretraining=training.pretraining,
        publisher=training.publisher,
        periodic_trainings=training.periodic,
        accuracy=accuracy,
        environments=environments,
        submissions=submission.service,
        submission_schedules=submission.schedules,
        workspaces=opened.workspaces,
        programs=programs,
        pipelines=pipelines,
        messages=messages,
        digits=digits_example(settings, where.platform, opened.workspaces, storage.data_dir),
        serving=serving,
        executor_hour_price=settings.submission.executor_hour_price,
        stopping=stopping,
    )
