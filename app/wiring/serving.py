"""Serving of teams' models: the engine, which starts with the first question, and what asks it."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.wiring.programs import EnvironmentsOfPrograms
from app.wiring.storage import Storage
from common.loops import Loop
from common.processes.guarded import service_identity
from common.settings.settings import Settings
from common.workspaces.workspaces import Workspaces
from prediction.inference.engine.engine import Engine
from prediction.inference.images.limits import ImageLimits
from prediction.inference.queue.admission import Admission
from prediction.inference.records.repository import PredictionRepository
from prediction.inference.records.writer import RecordWriter
from prediction.inference.served.files import LocalFiles
from prediction.inference.served.leases import Leases
from prediction.inference.served.loading import Loading
from prediction.inference.served.models import ServedModels
from prediction.inference.served.repository import ServedModelRepository
from prediction.inference.serving import Serving
from submission.environments.environments import Environments
from submission.local.runner import LOCAL
from submission.manifest.platform import Platform
from submission.programs.preparation import Programs
from submission.serving.bulk.answers import BulkAnswers
from submission.serving.folders import FolderPublisher
from submission.serving.opened import OpenServing, ServingLimits
from submission.serving.rights import ServingRights

logger = logging.getLogger(__name__)

FOLDER = "serving"
"""Below DATA_DIR: files of versions and environments, and what the engine leaves."""

_STORING_SECONDS = 2.0
"""That an answer waits to be remembered, before it is given without that."""

_FIGURES_SECONDS = 1.0


async def open_predictions(storage: Storage) -> PredictionRepository:
    """What is remembered of predictions, also for trainings."""
    records = PredictionRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(records)
    return records


@asynccontextmanager
async def open_serving(
    settings: Settings,
    storage: Storage,
    workspaces: Workspaces,
    environments: Environments,
    programs: Programs,
    platform: Platform,
    records: PredictionRepository,
) -> AsyncIterator[OpenServing]:
    """Nothing of the engine runs before somebody asks; what runs then ends with the context."""
    wanted = settings.serving
    repository = ServedModelRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(repository)
    leases = None
    if wanted.ray_address:
        leases = Leases(storage.mongo, storage.database, service_identity())
        storage.setting_up.begin_indexes(leases)
    folder = wanted.serving_cache_dir or storage.data_dir / FOLDER
    files = LocalFiles(
        folder / "files", storage.artifacts, EnvironmentsOfPrograms(environments), wanted.serving_cache_bytes
    )
    engine = Engine(wanted.ray_address, token=wanted.ray_auth_token)
    loading = Loading(engine, files, leases, python_is_allowed=_python_is_allowed(settings))
    models = ServedModels(
        repository,
        storage.registry,
        engine,
        loading,
        files,
        most_models=wanted.serving_max_models,
        engine_idle_seconds=wanted.serving_engine_idle_seconds,
    )
    writer = RecordWriter(records, _STORING_SECONDS)
    story = Serving(
        models,
        Admission(wanted.serving_max_waiting_bytes),
        writer,
        most_rows=wanted.serving_max_rows,
        keep_days=wanted.serving_keep_predictions_days,
        image_limits=ImageLimits(
            wanted.serving_image_max_bytes, wanted.serving_image_max_pixels, wanted.serving_max_waiting_bytes
        ),
        instruments=storage.instruments,
    )
    limits = ServingLimits(wanted.serving_upload_max_bytes, wanted.serving_default_model)
    rights = ServingRights(workspaces, storage.registry)
    folders = FolderPublisher(
        workspaces,
        programs,
        storage.registry,
        storage.artifacts,
        settings.programs.program_output_max_bytes,
        storage.instruments,
    )
    bulk = BulkAnswers(
        workspaces, storage.registry, storage.artifacts, python_is_there=platform.name == LOCAL.name
    )
    try:
        yield OpenServing(
            story, models, records, rights, folders, bulk, limits, storage.instruments, is_on=wanted.serving
        )
    finally:
        await story.close()
        await models.close()


def serving_loops(serving: OpenServing) -> Sequence[Loop]:
    """What goes on about served models."""
    return [
        *serving.models.loops(),
        Loop("figures of predictions", serving.story.writer.store_figures, _FIGURES_SECONDS),
    ]


def _python_is_allowed(settings: Settings) -> bool:
    said = settings.serving.serving_python
    if said is not None:
        return said
    return bool(settings.serving.ray_address) or not settings.access_by_tokens
