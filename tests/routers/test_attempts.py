"""What the API says of runs with several drivers, and of ends that nobody saw."""

from typing import Any

import httpx
import pytest

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.types import Client
from tests.support.applied import send as report
from tests.support.samples import START_MS, application_start, at, execution, job_end

SUCCEEDED = {"job_result": "JobSucceeded"}


@pytest.fixture
def executions(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest.fixture
async def run(executions: ExecutionRepository) -> str:
    created = execution(max_runtime=60.0)
    await executions.insert(created)
    return created.id


async def details(service: httpx.AsyncClient, run: str) -> dict[str, Any]:
    response = await service.get(f"/submission/applications/{run}")
    assert response.status_code == 200, response.text
    return response.json()


def started(run: str, driver: str, seconds: int) -> dict[str, Any]:
    return application_start(run, driver, start_time=START_MS + 1000 * seconds)


async def test_a_retried_driver(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    failed = job_end(run, 0, "A", start_seconds=240.0, runtime_seconds=10.0, job_result="JobFailed")
    await report(executions, started(run, "A", 0), failed, started(run, "B", 300))
    without_jobs = await details(service, run)
    assert [(each["application_id"], each["state"], each["jobs"]) for each in without_jobs["attempts"]] == [
        ("A", "replaced", 1),
        ("B", "in_charge", 0),
    ]
    await report(executions, job_end(run, 0, "B", start_seconds=330.0, runtime_seconds=10.0, **SUCCEEDED))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(340)})
    found = await details(service, run)
    assert (found["runtime_seconds"], found["target_met"]) == (340.0, False)
    assert found["driver_start_count"] == 2
    first, second = found["attempts"]
    assert (first["start_time"], first["last_job_at"]) == ("2021-07-04T19:31:00Z", "2021-07-04T19:35:10Z")
    assert (first["failed_jobs"], second["failed_jobs"], second["state"]) == (1, 0, "last")
    assert [job["job_result"] for job in found["jobs"]] == ["JobSucceeded"]
    assert found["notes"] == ["2 drivers of it have started: the runtime counts from the first start."]
    [listed] = (await service.get("/submission/applications?target_met=false")).json()["items"]
    assert listed["_id"] == run


async def test_a_driver_that_goes_on_beside_the_one_in_charge(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    await report(
        executions, started(run, "A", 0), started(run, "B", 60), job_end(run, 0, "A", start_seconds=70)
    )
    found = await details(service, run)
    assert [(each["application_id"], each["state"]) for each in found["attempts"]] == [
        ("A", "beside"),
        ("B", "in_charge"),
    ]


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_failure_of_which_every_job_succeeded(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str, succeeds: bool
) -> None:
    result = SUCCEEDED if succeeds else {"job_result": "JobFailed"}
    await report(
        executions, started(run, "A", 0), job_end(run, 0, "A", **SUCCEEDED), job_end(run, 1, "A", **result)
    )
    await executions.record_state(run, ApplicationState.FAILED, "driver pod not found")
    found = await details(service, run)
    assert found["all_jobs_succeeded"] is succeeds
    assert ("All jobs that were reported have succeeded (2)." in found["notes"]) is succeeds
    assert (found["end_time"], found["end_time_inferred"]) == (found["last_job_end_time"], True)
    assert len(found["attempts"]) == 1


async def test_what_is_said_of_ends(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    await report(executions, started(run, "A", 0))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(30)})
    assert (await details(service, run))["notes"] == []
    await report(executions, job_end(run, 0, "A", start_seconds=50.0, runtime_seconds=10.0))
    earlier, after = (await details(service, run))["notes"]
    assert earlier.startswith(
        "By the platform it ended at 2021-07-04 19:31:30 UTC, before its last reported job"
    )
    assert after.startswith("It is COMPLETED by the platform's word, but its driver reports, last at ")
    unknown = execution()
    await executions.insert(unknown)
    await executions.record_state(unknown.id, ApplicationState.COMPLETED)
    found = await details(service, unknown.id)
    assert (found["end_time"], found["runtime_seconds"], found["all_jobs_succeeded"]) == (None, None, None)
    assert found["notes"][0].startswith("When it ended is not known; that was noticed at ")


async def test_an_end_before_the_start_is_by_another_clock(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    """Nobody knows how long it ran, so that it has met no target and missed none."""
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(-3600)})
    await report(executions, started(run, "A", 0))
    found = await details(service, run)
    assert (found["runtime_seconds"], found["target_met"]) == (None, None)
    assert any("two clocks differ, and how long it ran is not known" in note for note in found["notes"])
    for met in ("true", "false"):
        listed = (await service.get(f"/submission/applications?target_met={met}&limit=200")).json()["items"]
        assert run not in [each["_id"] for each in listed]
    await report(executions, job_end(run, 0, "A", start_seconds=50.0, runtime_seconds=5.0))
    found = await details(service, run)
    assert (found["runtime_seconds"], found["target_met"]) == (55.0, True)


async def test_whole_seconds_of_the_platform_are_no_other_clock(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    await report(executions, started(run, "A", 0))
    await executions.record_state(run, ApplicationState.COMPLETED, fields={"end_time": at(-0.9)})
    found = await details(service, run)
    assert (found["runtime_seconds"], found["target_met"]) == (0.0, True)
    listed = (await service.get("/submission/applications?target_met=true&limit=200")).json()["items"]
    assert run in [each["_id"] for each in listed]


async def test_a_driver_that_starts_again_under_the_same_id_is_another_attempt(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str
) -> None:
    """As on YARN; the same report twice is none."""
    first = (started(run, "A", 0), job_end(run, 0, "A", start_seconds=5.0))
    again = (started(run, "A", 40), job_end(run, 1, "A", start_seconds=45.0))
    await report(executions, *first, *first[:1], *again, *again)
    found = await details(service, run)
    assert [(each["state"], each["jobs"], each["start_time"]) for each in found["attempts"]] == [
        ("replaced", 1, "2021-07-04T19:31:00Z"),
        ("in_charge", 1, "2021-07-04T19:31:40Z"),
    ]
    assert found["driver_start_count"] == 2
