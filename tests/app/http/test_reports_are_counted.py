"""Every report moves one counter by one, and says what became of it."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from common.executions.documents import ApplicationState
from common.executions.repository import ExecutionRepository
from common.mongo.document import utc_now
from common.mongo.types import Client
from common.settings.settings import Settings
from tests.support.answers import PREDICT
from tests.support.samples import START_MS, application_start, execution, job_end
from tests.support.scraping import Scraped
from tests.support.tokens import Guarded, bearer, guarded_service

UPDATE = "/training/update_information"


@pytest.fixture
def executions(service: httpx.AsyncClient, mongo: Client) -> ExecutionRepository:
    return ExecutionRepository(mongo, service.database)  # type: ignore[attr-defined]


@pytest_asyncio.fixture
async def run(executions: ExecutionRepository) -> str:
    run = execution()
    await executions.insert(run)
    return run.id


def reports(**by_result: float) -> dict[str, float]:
    """As metrics have it; results are written `EVENT__result`."""
    return {
        'enel_reports_total{{event="{}",result="{}"}}'.format(*key.split("__")): count
        for key, count in by_result.items()
    }


async def becomes(
    service: httpx.AsyncClient, body: Any, result: str, status: int = 200, path: str = UPDATE
) -> None:
    """One report, what is counted of it, and that nothing else is."""
    scraped = await Scraped.of(service)
    answer = await service.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert await scraped.moved("enel_reports_total") == reports(**{result: 1})


async def test_what_is_stored_and_what_is_repeated(service: httpx.AsyncClient, run: str) -> None:
    for result in ("stored", "repeated"):
        await becomes(service, application_start(run), f"APPLICATION_START__{result}")
        await becomes(service, job_end(run, 0), f"JOB_END__{result}")
        await becomes(service, job_end(run, 1), f"JOB_END__{result}", path=PREDICT)
    await becomes(
        service, job_end(run, 1, job_result="JobFailed"), "JOB_END__stored"
    )  # says more than before


async def test_a_job_before_the_latest_is_late(service: httpx.AsyncClient, run: str) -> None:
    await becomes(service, job_end(run, 3), "JOB_END__stored")
    await becomes(service, job_end(run, 2), "JOB_END__late_of_earlier_job")
    await becomes(service, job_end(run, 2), "JOB_END__repeated")
    await becomes(service, job_end(run, 4), "JOB_END__stored")


async def test_earlier_attempts_of_the_driver_are_late(service: httpx.AsyncClient, run: str) -> None:
    later = START_MS + 3_600_000
    await becomes(service, application_start(run, "spark-2", start_time=later), "APPLICATION_START__stored")
    await becomes(service, application_start(run, "spark-1"), "APPLICATION_START__late_of_earlier_attempt")
    await becomes(service, job_end(run, 0, "spark-1"), "JOB_END__late_of_earlier_attempt")
    await becomes(service, job_end(run, 0, "spark-2", start_seconds=3602.0), "JOB_END__stored")
    # A third attempt, whose start is still under way: nobody can say that it is late.
    await becomes(service, job_end(run, 0, "spark-3", start_seconds=7200.0), "JOB_END__stored")


@pytest.mark.parametrize(
    "state", [ApplicationState.COMPLETED, ApplicationState.FAILED, ApplicationState.KILLED]
)
async def test_after_the_end_is_late(
    service: httpx.AsyncClient, executions: ExecutionRepository, run: str, state: ApplicationState
) -> None:
    await becomes(service, job_end(run, 0), "JOB_END__stored")
    await executions.record_state(run, state, fields={"end_time": utc_now() + timedelta(seconds=1)})
    await becomes(service, job_end(run, 1), "JOB_END__late_after_end")
    await becomes(service, job_end(run, 1), "JOB_END__repeated")
    await becomes(service, application_start(run), "APPLICATION_START__late_after_end")


@pytest.mark.parametrize("path", [UPDATE, PREDICT])
async def test_what_is_refused(service: httpx.AsyncClient, run: str, path: str) -> None:
    await becomes(service, job_end("nobody-knows-it", 0), "JOB_END__refused", 404, path)
    await becomes(service, application_start("nor-this"), "APPLICATION_START__refused", 404, path)
    await becomes(service, job_end(run, 0, end_time=0), "JOB_END__refused", 422, path)
    await becomes(service, {**job_end(run, 0), "job_id": -1}, "JOB_END__refused", 422, path)
    for body in ({**job_end(run, 0), "update_event": "no such thing"}, {"update_event": []}, [], "text"):
        await becomes(service, body, "unknown__refused", 422, path)


async def test_what_is_no_report_is_not_counted(service: httpx.AsyncClient, run: str) -> None:
    scraped = await Scraped.of(service)
    assert (await service.get(UPDATE)).status_code == 405
    assert (await service.get("/submission/applications/none")).status_code == 404
    assert (await service.post("/submission/submit", json={})).status_code == 422
    assert await scraped.moved("enel_reports_total") == {}


async def test_a_document_that_cannot_be_read_fails_a_report(
    service: httpx.AsyncClient, mongo: Client, run: str
) -> None:
    applications = mongo[service.database]["application_execution"]  # type: ignore[attr-defined]
    await applications.update_one({"_id": run}, {"$set": {"attempt_id": "first"}})
    await becomes(service, job_end(run, 0), "JOB_END__failed", 500)


@pytest.mark.parametrize("path", [UPDATE, PREDICT])
async def test_what_mongodb_does_not_take_has_failed(
    service: httpx.AsyncClient, mongo: Client, run: str, path: str
) -> None:
    database = mongo[service.database]  # type: ignore[attr-defined]
    await becomes(service, job_end(run, 0), "JOB_END__stored")
    await database.command("collMod", "job_execution", validator={"there_is_none": {"$exists": True}})
    try:
        await becomes(service, job_end(run, 1), "JOB_END__failed", 500, path)
    finally:
        await database.command("collMod", "job_execution", validator={})
    await becomes(service, job_end(run, 1), "JOB_END__stored")


@pytest_asyncio.fixture(scope="module")
async def guarded(
    mongo_uri: str, mongo: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Guarded]:
    def small(settings: Settings) -> None:
        settings.access.requests_per_minute = 20

    async with guarded_service(mongo_uri, mongo, tmp_path_factory.mktemp("guarded"), small) as service:
        yield service


async def test_what_is_refused_for_who_sends_it(guarded: Guarded) -> None:
    runs = [execution(), execution()]
    for run in runs:
        await guarded.executions.insert(run)
    token: Mapping[str, str] = bearer(str(await guarded.tokens.issue_for_listener(runs[0].id)))

    async def report(run_id: str, headers: Mapping[str, str]) -> int:
        return (await guarded.client.post(UPDATE, json=job_end(run_id, 0), headers=headers)).status_code

    scraped = await Scraped.of(guarded.client)
    assert await report(runs[1].id, token) == 403
    assert await scraped.moved("enel_reports_total") == reports(JOB_END__refused=1)

    scraped = await Scraped.of(guarded.client)
    assert await report(runs[0].id, {}) == 401  # before anybody has looked at what it says
    assert await scraped.moved("enel_reports_total") == reports(unknown__refused=1)

    scraped = await Scraped.of(guarded.client)
    assert [await report(runs[0].id, token) for _ in range(21)] == [200] * 20 + [429]
    expected = reports(JOB_END__stored=1, JOB_END__repeated=19, JOB_END__refused=1)
    assert await scraped.moved("enel_reports_total") == expected
