"""Ends of drivers, by their own reports, and drivers of which a report is missing."""

import itertools
from typing import Any

import pytest

from common.executions.attempts import AttemptState, driver_attempts
from common.executions.documents import ApplicationState
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from routers.schemas.applications import notes_about
from tests.support.applied import send
from tests.support.samples import (
    START_MS,
    application_start,
    at,
    context_end,
    execution,
    job_end,
    unique_name,
)


def start(run: str, driver: str, seconds: float) -> dict[str, Any]:
    return application_start(run, driver, start_time=START_MS + int(1000 * seconds))


def ended(run: str, driver: str, job_id: int, seconds: float) -> dict[str, Any]:
    return job_end(run, job_id, driver, start_seconds=seconds - 10.0, runtime_seconds=10.0)


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution(max_runtime=60.0, algorithm_name=unique_name("Retried"))
    await executions.insert(created)
    return created.id


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_every_attempt_has_its_own_end_in_whatever_order_they_come(
    executions: ExecutionRepository, run: str, order: tuple[int, ...]
) -> None:
    reports = [
        start(run, "A", 0),
        start(run, "B", 300),
        context_end(run, 280, "A", ended_jobs=4),
        context_end(run, 340, "B", ended_jobs=1),
    ]
    await send(executions, *(reports[number] for number in (*order, *order)))
    stored = await executions.get(run)
    assert (stored.application_id, stored.reported_end_time, stored.ended_jobs) == ("B", at(340), 1)
    found = driver_attempts(stored, [])
    assert [(each.application_id, each.start_time, each.end_time) for each in found] == [
        ("A", at(0), at(280)),
        ("B", at(300), at(340)),
    ]


async def test_a_driver_that_has_ended_is_beside_no_other(executions: ExecutionRepository, run: str) -> None:
    """Of three; the end of an older one is not that of the application."""
    await send(executions, start(run, "A", 0), start(run, "B", 60), start(run, "C", 120))
    await send(executions, ended(run, "A", 0, 150), ended(run, "B", 0, 160), ended(run, "C", 0, 170))
    await send(executions, context_end(run, 155, "A"))
    stored = await executions.get(run)
    states = [each.state for each in driver_attempts(stored, await executions.job_summaries(run))]
    assert states == [AttemptState.REPLACED, AttemptState.BESIDE, AttemptState.IN_CHARGE]
    assert (stored.application_id, stored.reported_end_time) == ("C", None)
    await send(executions, ended(run, "A", 1, 180))  # it goes on all the same
    stored = await executions.get(run)
    [first, *_] = driver_attempts(stored, await executions.job_summaries(run))
    assert first.state is AttemptState.BESIDE


async def test_a_start_that_was_lost_makes_no_missed_target_look_met(
    executions: ExecutionRepository, run: str
) -> None:
    """What the first driver did is known from its jobs alone."""
    await send(executions, ended(run, "A", 0, 250), start(run, "B", 300), ended(run, "B", 0, 340))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(340)})
    stored = await executions.get(run)
    assert (stored.runtime_seconds, stored.target_met, stored.earlier_seconds) == (100.0, False, 60.0)
    assert [each.id for each in await executions.newest(ExecutionFilter(target_met=False))] == [run]
    notes = notes_about(stored, [])
    assert any(
        note.startswith("A job of it began at 2021-07-04 19:35:00 UTC, before any driver") for note in notes
    )
    name = stored.global_specs.algorithm_name
    assert not await executions.finished_runs("spark", name, 10)
    await send(executions, start(run, "A", 0))  # it was only late
    stored = await executions.get(run)
    assert (stored.runtime_seconds, stored.earlier_seconds) == (340.0, 300.0)
    assert [each.id for each, _ in await executions.finished_runs("spark", name, 10)] == [run]


async def test_a_driver_whose_start_is_not_known_may_have_done_the_rest(
    executions: ExecutionRepository, run: str
) -> None:
    """It follows the one that is taken to be in charge: of that one alone nothing can be learned."""
    await send(executions, start(run, "A", 0), ended(run, "A", 0, 20), ended(run, "B", 0, 340))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(341)})
    name = (await executions.get(run)).global_specs.algorithm_name
    assert not await executions.finished_runs("spark", name, 10)
    found = await executions.find_run(run)
    assert found is not None
    assert not found.is_learnable
    await send(executions, start(run, "B", 300))
    found = await executions.find_run(run)
    assert found is not None
    assert found.is_learnable


async def test_jobs_that_come_before_their_drivers_start_change_no_runtime(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, ended(run, "A", 0, 20))
    stored = await executions.get(run)
    assert (stored.started_at, stored.runtime_seconds) == (None, None)
    [note] = notes_about(stored, await executions.job_summaries(run))
    assert note.startswith("The start of its driver was never reported")
    await send(executions, start(run, "A", 0))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(30)})
    stored = await executions.get(run)
    assert (stored.runtime_seconds, stored.earlier_seconds) == (30.0, 0.0)
    assert notes_about(stored, await executions.job_summaries(run)) == []
