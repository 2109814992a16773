"""Pipelines whose platform refuses, on a real MongoDB and a runner that only notes what it is told."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest_asyncio

from common.errors import Unavailable
from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from submission.idempotency import SubmissionLedger
from submission.manifest.options import ManifestOptions
from submission.other_runners import OtherRunners
from submission.pipelines.documents import PipelineRun, PipelineStep, StepState
from submission.pipelines.pipelines import Pipelines
from submission.pipelines.repository import PipelineRepository
from submission.programs.preparation import Prepared, Readiness
from submission.programs.repository import ProgramRunRepository
from submission.service import SubmissionService
from tests.support.doubles import FixedChooser, NotingRunner


class Files:
    """Of programs, which nobody looks into here."""

    async def prepare(self, *_: Any, **__: Any) -> Prepared:
        return Prepared("0" * 64, None)

    async def readiness(self, _: Any) -> Readiness:
        return Readiness(is_ready=True)


@pytest_asyncio.fixture
async def pipelines(
    mongo: Client,
    database: str,
    executions: ExecutionRepository,
    runner: NotingRunner,
    chooser: FixedChooser,
    options: ManifestOptions,
) -> Pipelines:
    ledger = SubmissionLedger(mongo, database, executions, key_seconds=3600)
    await ledger.create_indexes()
    others = OtherRunners(mongo, database, executions, runner, "http://here")
    with_launcher = dataclasses.replace(options, launcher="local:///opt/enel/launcher.py")
    files: Any = Files()
    submissions = SubmissionService(
        executions, ledger, runner, others, chooser, with_launcher, programs=files
    )
    stored, runs = PipelineRepository(mongo, database), ProgramRunRepository(mongo, database)
    nothing: Any = SimpleNamespace()
    return Pipelines(stored, nothing, submissions, executions, runs, nothing)


def pipeline(name: str) -> PipelineRun:
    step = PipelineStep(name="train", said={"file": "train.py"}, snapshot_id="0" * 64)
    return PipelineRun(
        id=name, workspace="known", folder=".", file="pipeline.yaml", result_step="train", steps=[step]
    )


async def test_a_step_that_the_platform_refused_is_submitted_again(
    pipelines: Pipelines, executions: ExecutionRepository, runner: NotingRunner
) -> None:
    """What was refused is stored, and its id used up; others wait behind it."""
    for name in ("first", "second"):
        await pipelines.stored.insert(pipeline(name))
    runner.breakage = Unavailable("Too many requests.")
    for _ in range(3):
        await pipelines.turn()
    refused = {each.id: each.state for each in await executions.newest()}
    assert set(refused.values()) == {ApplicationState.SUBMISSION_FAILED}
    runner.breakage = None
    for _ in range(3):
        await pipelines.turn()
    for name in ("first", "second"):
        [step] = (await pipelines.stored.get(name)).steps
        assert step.state is StepState.RUNNING
        assert step.application_execution_id in runner.started
        assert step.application_execution_id not in refused
    assert len(runner.started) == 2
