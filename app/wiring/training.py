"""Trainings: asked for, carried out, published, repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.wiring.storage import Storage
from common.processes.ray_access import RayAccess
from common.settings.serving import ServingSettings
from common.settings.training import TrainingSettings
from training.kinds import Kinds, TrainableKind
from training.promotion.gate import PromotionGate
from training.runs.garbage import collect_garbage
from training.runs.leftovers import remove_left
from training.runs.outbox import Outbox
from training.runs.pretraining import Pretraining
from training.runs.publishing import Publisher
from training.runs.schedules import PeriodicTrainings
from training.runs.supervisor import TrainingSupervisor


@dataclass(frozen=True)
class Training:
    """What is asked for trainings, and what carries them out."""

    supervisor: TrainingSupervisor
    publisher: Publisher
    pretraining: Pretraining
    periodic: PeriodicTrainings
    collect_garbage: Callable[[], Awaitable[list[str]]]


def ray_access(settings: ServingSettings) -> RayAccess:
    """The cluster that is there already, if one is."""
    return RayAccess(settings.ray_address, settings.ray_auth_token)


async def build_training(
    settings: TrainingSettings,
    storage: Storage,
    kinds: Kinds[TrainableKind],
    stopping: asyncio.Event,
    cluster: RayAccess,
) -> Training:
    """With what an earlier service left taken up; nothing runs before the loops do.

    Args:
        stopping: Ends what follows a training.
        cluster: Where trials run; one without an address: on this machine.
    """
    folder = storage.data_dir / "training"
    await asyncio.to_thread(remove_left, folder)
    gate = PromotionGate(storage.registry, storage.artifacts, kinds, folder)
    publisher = Publisher(
        storage.training_runs,
        storage.registry,
        storage.artifacts,
        gate,
        Outbox(storage.data_dir),
        settings.training_heartbeat_seconds,
        storage.instruments,
    )
    supervisor = TrainingSupervisor(
        storage.training_runs,
        storage.registry,
        kinds,
        publisher,
        settings,
        storage.data_dir,
        storage.instruments,
        cluster,
    )
    await publisher.claim()
    await supervisor.recover_dead()
    trials = settings.training_trials
    periodic = PeriodicTrainings(
        storage.mongo,
        storage.database,
        storage.training_runs,
        storage.executions,
        storage.digests,
        storage.registry,
        every_algorithm=settings.interval,
        by_algorithm=settings.cron_schedules,
        kinds=kinds,
        trials=trials,
        history_runs=settings.training_max_history_runs,
    )
    collect = partial(collect_garbage, storage.artifacts, storage.training_runs, storage.registry)
    pretraining = Pretraining(
        storage.training_runs,
        storage.executions,
        supervisor,
        kinds,
        trials,
        stopping,
        settings.training_max_unfinished,
    )
    return Training(supervisor, publisher, pretraining, periodic, collect)
