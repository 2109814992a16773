"""Runs of which reports never came: they say so, and nothing is learned from them."""

from collections.abc import Sequence
from typing import Any

import pytest

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from routers.schemas.applications import notes_about
from tests.support.applied import send
from tests.support.samples import application_start, at, context_end, execution, job_end, unique_name


def with_lost(body: dict[str, Any], **lost: int) -> dict[str, Any]:
    return {**body, "updates": {**body["updates"], **lost}}


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    """Two jobs, the second one of them with an id that leaves one out."""
    created = execution()
    await executions.insert(created)
    await send(
        executions,
        application_start(created.id),
        job_end(created.id, 0),
        job_end(created.id, 2, start_seconds=20.0),
    )
    return created.id


async def end(executions: ExecutionRepository, run: str, **updates: int) -> list[str]:
    """End the run; returns its notes about reports."""
    await send(executions, context_end(run, 60, **updates))
    assert await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(61)})
    stored = await executions.get(run)
    return notes_about(stored, await executions.job_summaries(run))


async def learned_from(executions: ExecutionRepository, run: str) -> bool:
    stored = await executions.get(run)
    specs = stored.global_specs
    found = await executions.finished_runs(specs.system_name, specs.algorithm_name, 10)
    return [each.id for each, _ in found] == [run]


async def test_gaps_of_ids_that_were_no_jobs_are_nothing_to_note(
    executions: ExecutionRepository, run: str
) -> None:
    assert await end(executions, run, ended_jobs=2) == []
    assert await learned_from(executions, run)


async def test_gaps_of_a_plugin_that_does_not_count_may_be_anything(
    executions: ExecutionRepository, run: str
) -> None:
    [before] = notes_about(await executions.get(run), await executions.job_summaries(run))
    assert before.startswith("Job ids of which nothing was reported: 1. Such a job still runs")
    [note] = await end(executions, run)
    assert note.startswith("Job ids of which nothing was reported: 1. Nothing is learned")
    assert not await learned_from(executions, run)
    await send(executions, job_end(run, 1, start_seconds=10.0))  # it was only late
    assert await learned_from(executions, run)


async def finished_run(executions: ExecutionRepository, name: str, job_ids: Sequence[int]) -> str:
    created = execution(algorithm_name=name)
    await executions.insert(created)
    await send(
        executions,
        application_start(created.id),
        *(job_end(created.id, job_id) for job_id in job_ids),
    )
    assert await executions.record_state(created.id, ApplicationState.COMPLETED, fields={"end_time": at(100)})
    return created.id


async def learned(executions: ExecutionRepository, name: str, limit: int = 10) -> list[str]:
    return [each.id for each, _ in await executions.finished_runs("spark", name, limit)]


async def test_ids_that_every_run_leaves_out_are_how_it_is_numbered(executions: ExecutionRepository) -> None:
    name = unique_name("Barrier")
    runs = [await finished_run(executions, name, (0, 1, 3)) for _ in range(3)]
    assert await learned(executions, name) == runs
    assert await learned(executions, name, 2) == runs[1:]
    runs.append(await finished_run(executions, name, (0, 3, 4)))  # of which 1 is missing, too
    assert await learned(executions, name) == runs[:3]


async def test_jobs_that_another_run_had_are_missing_from_those_that_lack_them(
    executions: ExecutionRepository,
) -> None:
    name = unique_name("Loss")
    for _ in range(2):
        await finished_run(executions, name, (0, 3))
    whole = await finished_run(executions, name, (0, 1, 2, 3))
    await finished_run(executions, name, (0, 1_000_000_000))
    assert await learned(executions, name) == [whole]
    assert await learned(executions, name, 1) == [whole]


async def test_a_job_that_was_never_reported(executions: ExecutionRepository, run: str) -> None:
    [note] = await end(executions, run, ended_jobs=3)
    assert note == "Reports of its driver are missing: 1. Nothing is learned from such a run."
    assert not await learned_from(executions, run)
    await send(executions, job_end(run, 1, start_seconds=10.0))  # it was only late
    assert await learned_from(executions, run)


async def test_the_plugin_tells_with_a_job_what_was_lost_before(
    executions: ExecutionRepository, run: str
) -> None:
    await send(
        executions,
        with_lost(job_end(run, 3, start_seconds=30.0), refused_reports=2, dropped_reports=1),
        with_lost(job_end(run, 4, start_seconds=40.0), refused_reports=1),  # was sent before, and came later
    )
    [note] = await end(executions, run)
    lost = "3 (2 refused by the service, 1 given up by the plugin)"
    assert note == f"Reports of its driver are missing: {lost}. Nothing is learned from such a run."
    assert not await learned_from(executions, run)


@pytest.mark.parametrize(
    ("conf", "cause"), [({"spark.api.mode": "connect"}, "its conf asks"), ({}, "a program")]
)
async def test_a_run_whose_plugin_never_reported(
    executions: ExecutionRepository, conf: dict[str, str], cause: str
) -> None:
    created = execution().model_copy(update={"manifests": [{"spec": {"sparkConf": conf}}]})
    await executions.insert(created)
    assert await executions.record_state(created.id, ApplicationState.RUNNING)
    assert notes_about(await executions.get(created.id), []) == []
    assert await executions.record_state(created.id, ApplicationState.COMPLETED, fields={"end_time": at(61)})
    [note] = notes_about(await executions.get(created.id), [])
    assert note.startswith(f"Its plugin never reported, not even a start: {cause}")
