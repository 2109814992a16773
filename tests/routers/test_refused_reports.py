"""Reports that cannot be stored are shown with their run, and the run is no complete history."""

from typing import Any

import httpx
import pytest

from common.executions.documents import ApplicationState
from common.executions.drivers import RefusedReport
from common.executions.reports.refusals import MOST_REFUSALS
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.samples import application_start, at, execution, job_end, unique_name

STORE, ASK = "/training/update_information", "/prediction/online_scale_out_prediction"


@pytest.fixture
def executions(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution(algorithm_name=unique_name("Refused"))
    await executions.insert(created)
    return created.id


async def send(
    service: httpx.AsyncClient, body: dict[str, Any], status: int = 200, path: str = STORE
) -> None:
    response = await service.post(path, json=body)
    assert response.status_code == status, response.text


async def details(service: httpx.AsyncClient, run: str) -> dict[str, Any]:
    return (await service.get(f"/submission/applications/{run}")).json()


def impossible(run: str, job_id: int, driver: str = "spark-1") -> dict[str, Any]:
    return job_end(run, job_id, driver, start_time=2_000, end_time=1_000)


@pytest.mark.parametrize("path", [STORE, ASK])
async def test_a_job_whose_report_was_refused_is_missing_until_it_is_stored(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str, path: str
) -> None:
    await send(service, application_start(run))
    await send(service, job_end(run, 0))
    await send(service, impossible(run, 1), 422, path)
    await send(service, impossible(run, 1), 422, path)
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(60)})
    found = await details(service, run)
    [refusal] = found["refusals"]
    assert (refusal["update_event"], refusal["job_id"], refusal["application_id"]) == (
        "JOB_END",
        1,
        "spark-1",
    )
    assert "end_time lies before start_time" in refusal["reason"]
    first, second = found["notes"]
    assert first.startswith("A report of its driver was refused at ")
    assert "(JOB_END of job 1): updates: end_time lies before start_time" in first
    assert second.startswith("Reports of its driver are missing: 1 (1 refused by the service)")
    name = found["global_specs"]["algorithm_name"]
    assert not await executions.finished_runs("spark", name, 10)
    await send(service, job_end(run, 1))
    assert (await details(service, run))["refusals"] == []
    assert len(await executions.finished_runs("spark", name, 10)) == 1


async def test_what_is_stored_is_not_missing_whatever_else_is_said_of_it(
    service: httpx.AsyncClient, run: str
) -> None:
    await send(service, application_start(run))
    await send(service, job_end(run, 0))
    await send(service, impossible(run, 0), 422)
    found = await details(service, run)
    assert (found["refusals"], found["notes"]) == ([], [])


async def test_a_start_that_was_refused_is_told(service: httpx.AsyncClient, run: str) -> None:
    await send(service, application_start(run, start_time="yesterday"), 422)
    [note] = (await details(service, run))["notes"]
    assert "(APPLICATION_START): updates.start_time: " in note
    await send(service, application_start(run))
    assert (await details(service, run))["notes"] == []


async def test_refusals_are_bounded_and_of_one_run(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    for job_id in range(MOST_REFUSALS + 3):
        refused = RefusedReport(
            at=at(0), update_event="JOB_END", application_id="A", job_id=job_id, reason=""
        )
        await executions.note_refused(run, refused)
    assert len((await executions.get(run)).refusals) == MOST_REFUSALS
    await send(service, impossible("nobody", 0), 422)
    assert (await service.get("/submission/applications/nobody")).status_code == 404
