"""Drivers of one application execution: what is kept of their starts, and which of them is in charge."""

import itertools
from typing import Any

import pytest

from common.executions.documents import ApplicationState
from common.executions.driver_starts import MOST_STARTS
from common.executions.filter import ExecutionFilter
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.applied import send
from tests.support.samples import START_MS, application_start, at, execution, job_end


def start(run: str, driver: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return application_start(run, driver, start_time=START_MS + int(1000 * seconds), **fields)


def ended(run: str, driver: str, job_id: int, seconds: float) -> dict[str, Any]:
    return job_end(run, job_id, driver, start_seconds=seconds - 3.0)


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution(max_runtime=60.0)
    await executions.insert(created)
    return created.id


async def test_a_retried_driver_does_not_make_a_missed_target_look_met(
    executions: ExecutionRepository, run: str
) -> None:
    await send(
        executions,
        start(run, "A", 0),
        ended(run, "A", 0, 250),
        start(run, "B", 300, attempt_id=1),
        ended(run, "B", 0, 340),
    )
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(340)})
    stored = await executions.get(run)
    assert (stored.runtime_seconds, stored.target_met) == (340.0, False)
    assert (stored.attempt_seconds, stored.earlier_seconds) == (40.0, 300.0)
    assert (stored.application_id, stored.attempt_id, stored.start_time) == ("B", 1, at(300))
    assert [each.application_id for each in stored.driver_starts] == ["A", "B"]
    assert stored.driver_start_count == 2
    for met in (True, False):
        found = await executions.newest(ExecutionFilter(target_met=met))
        assert [each.id for each in found] == ([] if met else [run])


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1, 2))))
async def test_the_order_of_reports_decides_nothing(
    executions: ExecutionRepository, run: str, order: tuple[int, ...]
) -> None:
    """Nor do two drivers that start in the same millisecond; a duplicate adds nothing."""
    starts = [start(run, "A", 0), start(run, "B", 60), start(run, "C", 60)]
    await send(executions, *(starts[number] for number in (*order, *order)))
    stored = await executions.get(run)
    assert (stored.application_id, stored.start_time, stored.started_at) == ("C", at(60), at(0))
    assert [each.application_id for each in stored.driver_starts] == ["A", "B", "C"]
    assert stored.driver_start_count == 3


async def test_jobs_that_overtook_the_start_of_their_driver(
    executions: ExecutionRepository, run: str
) -> None:
    await send(executions, start(run, "A", 0), ended(run, "A", 5, 50))
    stored = await send(executions, ended(run, "B", 1, 40))
    assert (stored.application_id, stored.last_job_id) == ("A", 5)
    stored = await send(executions, start(run, "B", 20))
    assert (stored.application_id, stored.last_job_id, stored.last_job_end_time) == ("B", 1, at(40))


async def test_the_list_of_starts_is_bounded_and_counted(executions: ExecutionRepository, run: str) -> None:
    starts = [start(run, f"driver-{number}", 10.0 * number) for number in range(MOST_STARTS + 3)]
    await send(executions, *starts)
    await send(executions, starts[2])  # left out by now
    stored = await executions.get(run)
    kept = [each.application_id for each in stored.driver_starts]
    assert len(kept) == MOST_STARTS
    assert (kept[0], kept[1], kept[-1]) == ("driver-0", "driver-4", f"driver-{MOST_STARTS + 2}")
    assert (stored.driver_start_count, stored.started_at) == (MOST_STARTS + 3, at(0))


async def test_a_document_of_an_earlier_version(
    executions: ExecutionRepository, mongo: Client, database: str, run: str
) -> None:
    await send(executions, start(run, "A", 0))
    newer = {"first_start_time": "", "driver_starts": "", "driver_start_count": ""}
    stored = mongo[database]["application_execution"]
    await stored.update_one({"_id": run}, {"$unset": newer})
    assert (await executions.get(run)).started_at == at(0)
    after = await send(executions, start(run, "B", 60))
    assert (after.started_at, after.driver_start_count) == (at(0), 2)
