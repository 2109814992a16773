"""Submissions: one by one, recurring, and on what they run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.wiring.platform import StartRunner
from app.wiring.storage import Storage, create_indexes
from common.settings.settings import Settings
from prediction.initial import InitialScaleOutChooser
from submission.idempotency import SubmissionLedger
from submission.manifest.options import ManifestOptions
from submission.runners import Runner, TokenFor
from submission.schedules import SubmissionSchedules
from submission.service import SubmissionService


@dataclass(frozen=True)
class Submission:
    """What is asked for applications, and what carries them out."""

    runner: Runner
    service: SubmissionService
    schedules: SubmissionSchedules


@asynccontextmanager
async def open_submission(
    settings: Settings,
    storage: Storage,
    start_runner: StartRunner,
    chooser: InitialScaleOutChooser,
    options: ManifestOptions,
    token_for: TokenFor,
) -> AsyncIterator[Submission]:
    """With what an earlier service left taken up; the runner is closed with the context.

    Args:
        start_runner: Of a platform that is connected.
        token_for: Makes what drivers show when they report.
    """
    executions, database = storage.executions, storage.database
    ledger = SubmissionLedger(
        storage.mongo, database, executions, key_seconds=settings.submission.idempotency_key_seconds
    )
    runner = start_runner(storage.data_dir, storage.mongo, executions, token_for)
    service = SubmissionService(executions, ledger, runner, chooser, options)
    schedules = SubmissionSchedules(storage.mongo, database, executions, service)
    try:
        await create_indexes(ledger, schedules)
        await service.resume()
        yield Submission(runner, service, schedules)
    finally:
        await runner.aclose()
