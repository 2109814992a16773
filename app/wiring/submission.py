"""Submissions: one by one, recurring, and on what they run."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.wiring.platform import StartRunner
from app.wiring.storage import Storage
from common.settings.settings import Settings
from common.settings.training import TrainingSettings
from prediction.forecaster import Forecaster
from prediction.initial import InitialScaleOutChooser
from submission.accuracy.drift import Band
from submission.accuracy.repository import AccuracyRepository
from submission.accuracy.watch import AccuracyWatch
from submission.idempotency import SubmissionLedger
from submission.manifest.options import ManifestOptions
from submission.other_runners import OtherRunners
from submission.programs.preparation import Programs
from submission.runners import Runner, TokenFor
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService
from training.runs.pretraining import Pretraining


@dataclass(frozen=True)
class Submission:
    """What is asked for applications, and what carries them out."""

    runner: Runner
    service: SubmissionService
    schedules: SubmissionSchedules
    others: OtherRunners


async def open_accuracy(
    settings: TrainingSettings,
    storage: Storage,
    pretraining: Pretraining,
    forecaster: Forecaster,
) -> AccuracyWatch:
    """What measures how right forecasts were."""
    accuracies = AccuracyRepository(storage.mongo, storage.database)
    storage.setting_up.begin_indexes(accuracies)
    return AccuracyWatch(
        storage.executions,
        storage.registry,
        accuracies,
        pretraining,
        Band(settings.drift_error_ratio, settings.drift_runs),
        train_on_drift=settings.train_on_drift,
        instruments=storage.instruments,
        prepare_history=forecaster.prepare,
    )


@asynccontextmanager
async def open_submission(
    settings: Settings,
    storage: Storage,
    start_runner: StartRunner,
    chooser: InitialScaleOutChooser,
    options: ManifestOptions,
    token_for: TokenFor,
    programs: Programs,
) -> AsyncIterator[Submission]:
    """With what an earlier service left taken up; the runner is closed with the context.

    Args:
        start_runner: Of a platform that is connected.
        token_for: Makes what drivers show when they report.
        programs: Prepares programs of workspaces.
    """
    executions, database = storage.executions, storage.database
    ledger = SubmissionLedger(
        storage.mongo, database, executions, key_seconds=settings.submission.idempotency_key_seconds
    )
    runner = start_runner(storage.data_dir, storage.mongo, executions, token_for)
    server = settings.server
    address = f"http://{server.host}:{server.port} on {socket.gethostname()}"
    others = OtherRunners(storage.mongo, database, executions, runner, address)
    service = SubmissionService(
        executions,
        ledger,
        runner,
        others,
        chooser,
        options,
        settings.prediction.shadow_algorithms,
        storage.instruments,
        programs,
    )
    schedules = SubmissionSchedules(storage.mongo, database, executions, service)
    try:
        storage.setting_up.begin_indexes(ledger, schedules)
        await storage.setting_up.done()  # what is taken up writes
        await others.give_sign()
        await service.resume()
        yield Submission(runner, service, schedules, others)
    finally:
        await runner.aclose()
